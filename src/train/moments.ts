import { DYNAMIC_MAP, nearestCodeOf, UNSIGNED_DYNAMIC_MAP } from '../quant/codebooks.ts';

/** One of the arrays that hold the moments: an element for every `per` parameters. */
export interface Field {
  readonly name: string;
  readonly dtype: 'F32' | 'U8';
  readonly per: number;
}

export type FieldArray = Float32Array | Uint8Array;

/** How Adam's two moments are held from one step to the next. */
export interface MomentFormat {
  /** Parameters that are held together: a stretch is cut only between blocks. */
  readonly blockSize: number;
  /** Wide types first, so that each array lies aligned after the one before. */
  readonly fields: readonly Field[];
  /**
   * Gives both moments of `length` parameters in float32, some at a time, and keeps what `change` leaves in them.
   * @param arrays those of `fields`, in their order
   */
  visit(
    arrays: readonly FieldArray[], length: number, change: (m: Float32Array, v: Float32Array, at: number) => void,
  ): void;
}

export const float32Moments: MomentFormat = {
  blockSize: 1,
  fields: [{ name: 'm', dtype: 'F32', per: 1 }, { name: 'v', dtype: 'F32', per: 1 }],
  visit: ([m, v], _length, change) => change(m as Float32Array, v as Float32Array, 0),
};

const BLOCK = 256;
const nearestSigned = nearestCodeOf(DYNAMIC_MAP);
const nearestUnsigned = nearestCodeOf(UNSIGNED_DYNAMIC_MAP);

/**
 * A byte a moment and one float32 scale for 256 of them (8-bit optimizers, arXiv:2110.02861): m by the signed
 * dynamic map, v, which has no sign, by the unsigned one.
 */
export const blockwise8bitMoments: MomentFormat = {
  blockSize: BLOCK,
  fields: [
    { name: 'm.absmax', dtype: 'F32', per: BLOCK }, { name: 'v.absmax', dtype: 'F32', per: BLOCK },
    { name: 'm', dtype: 'U8', per: 1 }, { name: 'v', dtype: 'U8', per: 1 },
  ],
  visit(arrays, length, change) {
    const [mScales, vScales, mCodes, vCodes] = arrays as [Float32Array, Float32Array, Uint8Array, Uint8Array];
    const [wideM, wideV] = [new Float32Array(BLOCK), new Float32Array(BLOCK)];
    for (let start = 0, block = 0; start < length; start += BLOCK, block++) {
      const end = Math.min(start + BLOCK, length);
      const [m, v] = [wideM.subarray(0, end - start), wideV.subarray(0, end - start)];
      const [mBlock, vBlock] = [mCodes.subarray(start, end), vCodes.subarray(start, end)];
      dequantize(mBlock, mScales[block]!, DYNAMIC_MAP, m);
      dequantize(vBlock, vScales[block]!, UNSIGNED_DYNAMIC_MAP, v);
      change(m, v, start);
      mScales[block] = quantize(m, nearestSigned, DYNAMIC_MAP, mBlock);
      vScales[block] = quantize(v, nearestUnsigned, UNSIGNED_DYNAMIC_MAP, vBlock);
    }
  },
};

function dequantize(codes: Uint8Array, absmax: number, map: Float32Array, out: Float32Array): void {
  for (let i = 0; i < codes.length; i++) out[i] = map[codes[i]!]! * absmax;
}

/**
 * @param codes written whole
 * @returns the block's absmax
 */
function quantize(
  values: Float32Array, nearestCode: (x: number) => number, map: Float32Array, codes: Uint8Array,
): number {
  let absmax = 0;
  for (const value of values) absmax = Math.max(absmax, Math.abs(value));
  const scale = absmax || 1;
  for (let i = 0; i < codes.length; i++) {
    const code = nearestCode(Math.fround(values[i]! / scale));
    // As bitsandbytes' kernel: a negative moment keeps its sign where it would round to zero.
    codes[i] = values[i]! < 0 && map[code] === 0 ? code - 1 : code;
  }
  return absmax;
}
