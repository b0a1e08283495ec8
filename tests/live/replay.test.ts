import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { replay } from '../../src/live/replay.ts';
import type { TimedEvent } from '../../src/runs/events.ts';

const text = (text: string, at?: number): TimedEvent => ({ type: 'text', text, ...(at !== undefined && { at }) });

describe('a run played back', () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  /** What has come, each with the milliseconds that had passed. */
  function play(events: readonly TimedEvent[], speed: number, signal?: AbortSignal) {
    const began = performance.now();
    const heard: [text: string, at: number][] = [];
    const done = (async () => {
      for await (const event of replay(events, speed, signal)) {
        if (event.type === 'text') heard.push([event.text, performance.now() - began]);
      }
    })();
    return { heard, done };
  }

  it('tells each event at its moment, and at twice the speed in half the time', async () => {
    for (const speed of [1, 2]) {
      const { heard, done } = play([text('a', 0), text('b', 1), text('c', 3)], speed);
      await vi.advanceTimersByTimeAsync(3000 / speed);
      await done;
      expect(heard).toEqual([['a', 0], ['b', 1000 / speed], ['c', 3000 / speed]]);
    }
  });

  it('tells events without a moment with the one before', async () => {
    const { heard, done } = play([text('a'), text('b', 2), text('c'), text('d', 3)], 1);
    await vi.advanceTimersByTimeAsync(3000);
    await done;
    expect(heard).toEqual([['a', 0], ['b', 2000], ['c', 2000], ['d', 3000]]);
  });

  it('ends at once when it is stopped, also in the middle of a wait', async () => {
    const abort = new AbortController();
    const { heard, done } = play([text('a', 0), text('b', 60)], 1, abort.signal);
    await vi.advanceTimersByTimeAsync(1000);
    abort.abort();
    await done; // no timer has to fire for it
    expect(vi.getTimerCount()).toBe(0);
    expect(heard).toEqual([['a', 0]]);
  });

  it('tells nothing when it was stopped before it began', async () => {
    const { heard, done } = play([text('a', 0), text('b', 60)], 1, AbortSignal.abort());
    await done;
    expect(heard).toEqual([]);
  });
});
