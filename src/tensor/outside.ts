import type { Tensor } from '@tensorflow/tfjs';

/**
 * Makes a tensor that a function uses without being given it: a weight, the mask of a dropout.
 *
 * @param seed that of the pass
 */
export type Source = (seed: number) => Tensor;

/** Who is recording a function. */
export interface Listener {
  take(tensor: Tensor, source: Source): void;
}

let listener: Listener | undefined;

/** A tensor that comes from outside the function being recorded: `source` is asked for it again at each run. */
export function outside<T extends Tensor>(source: Source, seed = 0): T {
  const tensor = source(seed) as T;
  listener?.take(tensor, source);
  return tensor;
}

/** What `f` gives; what comes from outside it on the way is told. */
export function announcedTo<T>(who: Listener, f: () => T): T {
  const before = listener;
  listener = who;
  try {
    return f();
  } finally {
    listener = before;
  }
}
