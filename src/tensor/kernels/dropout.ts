import type { Tensor } from '@tensorflow/tfjs';
import { kernels, pointer, uninitialized } from './memory.ts';

/** What decides which elements are dropped; see `dropout` in `../dropout.ts`. */
export interface DropoutDraw {
  /** An element is dropped where its generator gives less, of 2^32. */
  readonly threshold: number;
  readonly scale: number;
  /** The four generators, none of them zero. */
  readonly states: readonly [number, number, number, number];
}

/** x times its dropout mask, by WASM SIMD and without the mask. */
export function dropout(x: Tensor, { threshold, scale, states }: DropoutDraw): Tensor {
  const out = uninitialized(x.shape);
  kernels().dropout(pointer(x), pointer(out), x.size, threshold, scale, ...states);
  return out;
}
