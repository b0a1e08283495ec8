import { describe, expect, it } from 'vitest';
import { restart, spentOn, startClock, timesOf, turn, wasGiven } from '../../src/live/clock.ts';

describe("the presenter's clock", () => {
  it('counts what each slide is on show, however often', () => {
    let clock = startClock(0, 1000);
    clock = turn(clock, 2, 61_000); // skips one
    clock = turn(clock, 0, 71_000);
    clock = turn(clock, 2, 76_000);
    expect([0, 1, 2].map((slide) => spentOn(clock, slide, 80_000))).toEqual([65_000, 0, 14_000]);
    expect(clock).toMatchObject({ startedAt: 1000, slide: 2, since: 76_000 });
  });

  it('that was stopped by mistake goes on as if it never had been, if that is seen at once', () => {
    const stopped = turn(startClock(3, 1000), 3, 61_000);
    const again = restart(stopped, 3, 66_000);
    expect([again.startedAt, spentOn(again, 3, 70_000)]).toEqual([1000, 69_000]);
    expect(restart(stopped, 3, 71_000).startedAt).toBe(1000); // within ten seconds
    expect(restart(stopped, 3, 71_001)).toEqual(startClock(3, 71_001));
    expect(restart(undefined, 3, 90_000)).toEqual(startClock(3, 90_000));
  });

  it('stands while the clock of the machine, set back, is behind it: no time is less than none', () => {
    const clock = turn(startClock(0, 61_000), 1, 1000);
    expect([0, 1].map((slide) => spentOn(clock, slide, 4000))).toEqual([0, 3000]);
    expect(spentOn(startClock(0, 61_000), 0, 1000)).toBe(0);
  });

  it('leaves the times of a talk once two slides have been on show', () => {
    const times = (...seconds: number[]) => ({ startedAt: '', slides: seconds.map((one) => ({ title: 'x', share: 1, seconds: one })) });
    expect([times(2, 0, 0), times(0, 0, 0), times(0.1, 60, 0)].map(wasGiven)).toEqual([false, false, true]);
  });

  it('tells them beside their titles and shares, in seconds', () => {
    const clock = turn(startClock(1, Date.UTC(2026, 2, 2, 10)), 1, Date.UTC(2026, 2, 2, 10) + 12_360);
    expect(timesOf([{ title: 'Una', seconds: 60 }, { title: 'Otra' }], clock, clock.since)).toEqual({
      startedAt: '2026-03-02T10:00:00.000Z',
      slides: [{ title: 'Una', share: 60, seconds: 0 }, { title: 'Otra', share: 0, seconds: 12.4 }],
    });
  });
});
