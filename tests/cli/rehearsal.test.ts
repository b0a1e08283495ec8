import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  experimentCommand, latestTimes, limitsOf, longestSilence, readRehearsal, rehearsalRow, timesTable, writeRehearsal,
  writeTimes,
} from '../../src/cli/rehearsal.ts';
import type { TimedEvent } from '../../src/runs/events.ts';
import { record } from '../deck/record.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const told = (...moments: number[]): TimedEvent[] => moments.map((moment) => ({ type: 'text', text: 'x', at: moment }));

describe('what a rehearsal leaves', () => {
  it('is read back, and nothing before there was one', () => {
    expect(readRehearsal(at('new'))).toEqual({});
    expect(existsSync(at('new'))).toBe(false);
    writeRehearsal(at('out'), { qlora: { seconds: 93.8, silence: 11 } });
    expect(readRehearsal(at('out'))).toEqual({ qlora: { seconds: 93.8, silence: 11 } });
  });

  it('is refused when it is something else', () => {
    writeFileSync(at('rehearsal.json'), '{"qlora": 3}');
    userErrorOf(() => readRehearsal(at('.')), 'rehearsal.json');
  });

  it('is told beside the time that each experiment has, with what would not fit in it', () => {
    expect(rehearsalRow('adalora', 41.6)).toEqual(['AdaLoRA e IA3 frente a LoRA', '42 s', '1 min 0 s', 'cabe']);
    expect(rehearsalRow('adalora', 60).at(-1)).toBe('cabe');
    expect(rehearsalRow('adalora', 61)).toEqual(
      ['AdaLoRA e IA3 frente a LoRA', '1 min 1 s', '1 min 0 s', 'NO CABE: se mostrará lo grabado']);
  });

  it('counts the longest silence from the beginning', () => {
    expect(longestSilence(told(2, 3, 9, 10))).toBe(6);
    expect(longestSilence(told(5, 6))).toBe(5);
    expect(longestSilence([{ type: 'text', text: 'x' }])).toBe(0);
  });
});

describe('the times of a talk', () => {
  const times = (startedAt: string, seconds: number) =>
    ({ startedAt, slides: [{ title: 'Una', share: 90, seconds }, { title: 'Otra', share: 60, seconds: 60.2 }] });

  it('have a file each, which its slides rewrite; the latest is read', () => {
    expect(latestTimes(at('talk'))).toBeUndefined();
    for (const [day, seconds] of [[2, 100], [3, 70], [3, 80]] as const) writeTimes(at('talk'), times(`2026-03-0${day}T10:00:00.000Z`, seconds));
    expect(readdirSync(at('talk', 'talks'))).toHaveLength(2);
    writeFileSync(at('talk', 'talks', '2026-03-09T10-00-00.000Z.json.tmp'), '{'); // a talk that died while it wrote
    expect(latestTimes(at('talk'))).toEqual(times('2026-03-03T10:00:00.000Z', 80));
  });

  it('are not those of a clock that was started and stopped', () => {
    writeTimes(at('talk'), times('2026-03-04T10:00:00.000Z', 80));
    writeTimes(at('talk'), { startedAt: '2026-03-05T10:00:00.000Z', slides: [{ title: 'Una', share: 90, seconds: 2 }] });
    expect(latestTimes(at('talk'))).toEqual(times('2026-03-04T10:00:00.000Z', 80));
  });

  it('are refused when they are something else', () => {
    mkdirSync(at('bad', 'talks'), { recursive: true });
    writeFileSync(at('bad', 'talks', 'x.json'), '{"slides": 3}');
    userErrorOf(() => latestTimes(at('bad')), 'x.json');
  });

  it('are told beside the shares', () => {
    expect(timesTable(times('2026-03-02T10:00:00.000Z', 100))).toEqual([
      ['diapositiva', 'tardó', 'tiempo', ''],
      ['Una', '1:40', '1:30', '0:10 de más'], ['Otra', '1:00', '1:00', 'justo'], ['toda la charla', '2:40', '2:30', '0:10 de más'],
    ]);
    const una = (seconds: number) => timesTable(times('2026-03-02T10:00:00.000Z', seconds))[1];
    expect(una(0)).toEqual(['Una', '0:00', '1:30', 'sin enseñar']);
    expect(una(80.4)).toEqual(['Una', '1:20', '1:30', '0:10 de menos']);
    expect(una(90.6)).toEqual(['Una', '1:31', '1:30', '0:01 de más']);
  });
});

describe('the process of a live run', () => {
  it('computes on the backend that is asked for, or else on the best that there is', () => {
    expect(experimentCommand('cpu').slice(-3)).toEqual(['src/cli/experiment.ts', '--backend', 'cpu']);
    expect(experimentCommand(undefined).at(-1)).toBe('src/cli/experiment.ts');
  });
});

describe('the time of a live run', () => {
  it("is its experiment's own, unless another is asked for", () => {
    expect(limitsOf('qlora', undefined, {}).budget).toBe(300);
    expect(limitsOf('qlora', undefined, {}, 20).budget).toBe(20);
  });

  it('lets it be silent for four times what it was here, or else where it was recorded, and 15 s at least', () => {
    const recorded = record({ events: told(0, 8) });
    expect(limitsOf('qlora', recorded, {}).silence).toBe(32);
    expect(limitsOf('qlora', recorded, { qlora: { seconds: 60, silence: 20 } }).silence).toBe(80);
    expect(limitsOf('qlora', undefined, {}).silence).toBe(15);
  });

  it('lets it be silent for no longer than it may take', () => {
    const slow = { peft: { seconds: 85, silence: 40 } };
    expect(limitsOf('peft', undefined, slow)).toEqual({ budget: 90, silence: 90 });
    expect(limitsOf('peft', undefined, slow, 20)).toEqual({ budget: 20, silence: 20 });
    expect(limitsOf('peft', undefined, {}, 5)).toEqual({ budget: 5, silence: 5 });
  });
});
