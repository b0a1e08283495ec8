/** One thing that we and Python both do. */
export interface Comparison {
  /** Does our part, and leaves in the folder what theirs.py needs for its own. */
  readonly ours: (folder: string) => Promise<void>;
  /** Once theirs.py has left its results there. */
  readonly compare: (folder: string) => Promise<Row[]>;
}

/** A line of the table. */
export interface Row {
  readonly what: string;
  readonly limit: number;
  readonly measured: number;
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} values beside ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!(difference <= largest)) largest = difference; // NaN stays
  }
  return largest;
}

/** How many differ. */
export function differing(a: readonly unknown[], b: readonly unknown[]): number {
  return a.filter((value, i) => JSON.stringify(value) !== JSON.stringify(b[i])).length + Math.abs(a.length - b.length);
}
