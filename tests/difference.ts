import { expect } from 'vitest';

/** The largest difference, relative to the largest value that is expected; as it is where all of these are zero. */
export function difference(expected: ArrayLike<number>, found: ArrayLike<number>): number {
  expect(found).toHaveLength(expected.length);
  let [largest, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(expected[i]! - found[i]!));
  }
  return worst / (largest || 1);
}
