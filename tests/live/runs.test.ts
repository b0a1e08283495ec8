import { mkdirSync, utimesSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { latestRuns } from '../../src/live/runs.ts';
import { watchRuns } from '../../src/live/watch.ts';
import { readRun, saveRun } from '../../src/runs/store.ts';
import { record } from '../deck/record.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

/** Leaves a record as a terminal does, so many seconds from now. */
function leave(folder: string, run: ReturnType<typeof record>, seconds = 10) {
  saveRun(at(folder, run.id, 'run.json'), run);
  const moment = Date.now() / 1000 + seconds;
  utimesSync(at(folder, run.id, 'run.json'), moment, moment);
  return run;
}

const newer = { startedAt: '2999-01-01T00:00:00.000Z' };

describe('the record that a talk shows', () => {
  it('is that of the slides, as long as no terminal has left another', () => {
    for (const folder of ['nowhere', 'empty']) {
      if (folder === 'empty') mkdirSync(at(folder, 'adapter'), { recursive: true }); // of a run without a record
      const read = latestRuns(at(folder));
      expect(read('qlora')).toEqual(readRun('qlora'));
      expect(read('qlora')).toBe(read('qlora')); // what was drawn of it stays
      expect(read('unheard-of')).toBeUndefined();
    }
  });

  it('is one that was left since the talk began', () => {
    const read = latestRuns(at('since'));
    const left = leave('since', { ...record(), ...newer });
    expect(read('qlora')).toEqual(left);
    expect(read('lora')).toEqual(readRun('lora')); // which nobody has left
  });

  it('is none that was left before, nor one that began earlier than that of the slides', () => {
    leave('before', { ...record(), ...newer }, -10);
    expect(latestRuns(at('before'))('qlora')).toEqual(readRun('qlora'));
    leave('older', { ...record(), startedAt: '2000-01-01T00:00:00.000Z' });
    expect(latestRuns(at('older'))('qlora')).toEqual(readRun('qlora'));
  });
});

describe('who waits for records', () => {
  afterEach(() => { vi.useRealTimers(); });

  it('is called once for each that is left, until they stop', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    leave('watched', record(), -10);
    let called = 0;
    const stop = watchRuns(at('watched'), () => called++);
    const after = (seconds: number) => {
      leave('watched', record(), seconds);
      vi.advanceTimersByTime(5000);
      return called;
    };
    vi.advanceTimersByTime(5000);
    expect(called).toBe(0);
    expect([after(10), after(20)]).toEqual([1, 2]);
    stop();
    expect(after(30)).toBe(2);
  });
});
