import { describe, expect, it } from 'vitest';
import { clock, pace } from '../../src/live/pace.ts';

describe("the presenter's clock", () => {
  const shares = [60, 120, 600];

  it.each([
    [0, 30, 'on time', 'quedan 12:30 · vas a tiempo'],
    [1, 60, 'on time', 'quedan 12:00 · vas a tiempo'],
    [1, 50, 'on time', 'quedan 12:10 · vas a tiempo'],
    [2, 50, 'ahead', 'quedan 12:10 · vas 2:10 por delante'],
    [0, 90, 'behind', 'quedan 11:30 · vas 0:30 por detrás'],
    [1, 400, 'behind', 'quedan 6:20 · vas 3:40 por detrás'],
    [0, 75, 'on time', 'quedan 11:45 · vas a tiempo'], // a quarter of a minute off is not told
    [0, 76, 'behind', 'quedan 11:44 · vas 0:16 por detrás'],
    [1, 45, 'on time', 'quedan 12:15 · vas a tiempo'],
    [1, 44, 'ahead', 'quedan 12:16 · vas 0:16 por delante'],
    [2, 780, 'on time', 'quedan 0:00 · vas a tiempo'],
    [2, 840, 'behind', '1:00 pasado de hora · vas 1:00 por detrás'],
  ])('at slide %i after %i s is %s', (slide, elapsed, mood, words) => {
    expect(pace(shares, slide, elapsed)).toEqual({ mood, words });
  });

  it('writes minutes and seconds', () => {
    expect([0, 9.6, 65, 3600].map(clock)).toEqual(['0:00', '0:10', '1:05', '60:00']);
  });
});
