import { DYNAMIC_MAP, nearestCodeOf } from './codebooks.ts';

/** Block scales, themselves quantised to 8 bits (QLoRA, arXiv:2305.14314, section 3). */
export interface DoubleQuantized {
  /** One index into the signed dynamic map for each scale, `[n]`. */
  readonly codes: Uint8Array;
  /** `[ceil(n / blockSize)]` */
  readonly nestedAbsmax: Float32Array;
  /** The mean of all scales, taken away first so that what remains has both signs. */
  readonly offset: number;
  readonly blockSize: number;
}

const BLOCK_SIZE = 256;
const nearestCode = nearestCodeOf(DYNAMIC_MAP);

/**
 * Scales to one byte each, and one float32 for 256 of them: less their mean, each block of 256 is divided by its
 * largest magnitude and takes the nearest entries of the map, as in bitsandbytes.
 *
 * @param absmax `[n]`, finite; none will do
 */
export function doubleQuantize(absmax: Float32Array): DoubleQuantized {
  let sum = 0; // in float64: free of the order in which PyTorch happens to add
  for (const scale of absmax) sum += scale;
  const offset = absmax.length === 0 ? 0 : Math.fround(sum / absmax.length);
  const centred = absmax.map((scale) => scale - offset);

  const codes = new Uint8Array(absmax.length);
  const nestedAbsmax = new Float32Array(Math.ceil(absmax.length / BLOCK_SIZE));
  for (let block = 0; block < nestedAbsmax.length; block++) {
    const start = block * BLOCK_SIZE;
    const end = Math.min(start + BLOCK_SIZE, absmax.length);
    let largest = 0;
    for (let i = start; i < end; i++) largest = Math.max(largest, Math.abs(centred[i]!));
    const reciprocal = largest === 0 ? 0 : Math.fround(1 / largest);
    nestedAbsmax[block] = largest;
    for (let i = start; i < end; i++) codes[i] = nearestCode(Math.fround(centred[i]! * reciprocal));
  }
  return { codes, nestedAbsmax, offset, blockSize: BLOCK_SIZE };
}

/** The scales back, `[n]`: `map[code] * nestedAbsmax + offset`, float32 at every step. */
export function doubleDequantize({ codes, nestedAbsmax, offset, blockSize }: DoubleQuantized): Float32Array {
  const absmax = new Float32Array(codes.length);
  for (let i = 0; i < absmax.length; i++) {
    const scale = nestedAbsmax[Math.floor(i / blockSize)]!;
    absmax[i] = Math.fround(DYNAMIC_MAP[codes[i]!]! * scale) + offset;
  }
  return absmax;
}
