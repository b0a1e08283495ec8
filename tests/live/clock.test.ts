import { describe, expect, it } from 'vitest';
import { spentOn, startClock, timesOf, turn } from '../../src/live/clock.ts';

describe("the presenter's clock", () => {
  it('counts what each slide is on show, however often', () => {
    let clock = startClock(0, 1000);
    clock = turn(clock, 2, 61_000); // skips one
    clock = turn(clock, 0, 71_000);
    clock = turn(clock, 2, 76_000);
    expect([0, 1, 2].map((slide) => spentOn(clock, slide, 80_000))).toEqual([65_000, 0, 14_000]);
    expect(clock).toMatchObject({ startedAt: 1000, slide: 2, since: 76_000 });
  });

  it('tells them beside their titles and shares, in seconds', () => {
    const clock = turn(startClock(1, Date.UTC(2026, 2, 2, 10)), 1, Date.UTC(2026, 2, 2, 10) + 12_345);
    expect(timesOf([{ title: 'Una', seconds: 60 }, { title: 'Otra' }], clock, clock.since)).toEqual({
      startedAt: '2026-03-02T10:00:00.000Z',
      slides: [{ title: 'Una', share: 60, seconds: 0 }, { title: 'Otra', share: 0, seconds: 12.3 }],
    });
  });
});
