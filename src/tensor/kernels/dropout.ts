import { kernels, layOut } from './memory.ts';

/** `dropoutMask` times x, by WASM SIMD and without the mask. */
export function dropout(x: Float32Array, { threshold, scale, states }: DropoutDraw): Float32Array {
  const { pointers: [at], read } = layOut([x]);
  kernels().dropout(at!, x.length, threshold, scale, ...states);
  return read(0);
}

/** What decides which elements are dropped; see `dropout` in `../dropout.ts`. */
export interface DropoutDraw {
  /** An element is dropped where its generator gives less, of 2^32. */
  readonly threshold: number;
  readonly scale: number;
  /** The four generators, none of them zero. */
  readonly states: readonly [number, number, number, number];
}
