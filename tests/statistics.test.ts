import { describe, expect, it } from 'vitest';
import { mean, median } from '../src/statistics.ts';

describe('statistics', () => {
  it('mean', () => {
    expect(mean([1, 2, 6])).toBe(3);
  });

  it.each([[[3], 3], [[9, 1, 2], 2], [[10, 1, 2, 4], 3]])('the median of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  it('leaves what it is given in its order', () => {
    const values = [2, 1];
    median(values);
    expect(values).toEqual([2, 1]);
  });
});
