import { sizeOf } from '../shape.ts';
import type { QuantType } from './codebooks.ts';
import { doubleDequantize, doubleQuantize, type DoubleQuantized } from './double.ts';
import { dequantizeBlocks, dequantizeBlocksToBfloat16, quantizeBlocks } from './simd.ts';

export type { DoubleQuantized, QuantType };

/** A weight held in 4 bits, row-major. */
export interface QuantizedTensor {
  readonly quantType: QuantType;
  readonly shape: readonly number[];
  /** Values that share one scale. */
  readonly blockSize: number;
  /** Two values a byte, the first in the high nibble, `[ceil(n / 2)]`. */
  readonly packed: Uint8Array;
  /** One scale for each block, `[ceil(n / blockSize)]`: plain, or quantised once more. */
  readonly absmax: Float32Array | DoubleQuantized;
}

export interface QuantizeOptions {
  readonly quantType?: QuantType;
  readonly blockSize?: number;
  readonly doubleQuant?: boolean;
}

/**
 * A float32 weight to 4 bits, with the bytes that bitsandbytes would make.
 *
 * @param values row-major, finite
 * @throws RangeError if the shape does not hold as many values as given, a value is not finite,
 *   or the block size is none of 32, 64, …, 4096
 */
export function quantize(
  values: Float32Array, shape: readonly number[], options: QuantizeOptions = {},
): QuantizedTensor {
  return quantizePieces([values], shape, options);
}

/**
 * The same for a weight that comes one piece after another, so that it is never wide as a whole.
 *
 * @param pieces numbers, or the bits of such of bfloat16: each but the last a multiple of 4096, which no block crosses
 * @throws RangeError as `quantize`
 */
export function quantizePieces(
  pieces: Iterable<Float32Array | Uint16Array>, shape: readonly number[], options: QuantizeOptions = {},
): QuantizedTensor {
  const { quantType = 'nf4', blockSize = 64, doubleQuant = true } = options;
  if (!isBlockSize(blockSize)) {
    throw new RangeError(`quantize: the block size must be a power of two from 32 to 4096, not ${blockSize}`);
  }
  const size = sizeOf(shape);
  const packed = new Uint8Array(Math.ceil(size / 2));
  const absmax = new Float32Array(Math.ceil(size / blockSize));
  let start = 0;
  for (const values of pieces) {
    if (start % 4096 !== 0) throw new RangeError('quantize: a piece before the last is no multiple of 4096 values');
    const end = start + values.length;
    quantizeBlocks(
      values, blockSize, quantType,
      packed.subarray(start / 2, Math.ceil(end / 2)),
      absmax.subarray(start / blockSize, Math.ceil(end / blockSize)),
    );
    start = end;
  }
  if (start !== size) throw new RangeError(`quantize: ${start} values do not fill the shape [${shape.join(', ')}]`);
  return { quantType, shape, blockSize, packed, absmax: doubleQuant ? doubleQuantize(absmax) : absmax };
}

/**
 * The weight back in float32, row-major.
 *
 * @param out where to write, of the tensor's size; a new array without it
 * @throws RangeError if `out` has another size
 */
export function dequantize(tensor: QuantizedTensor, out?: Float32Array): Float32Array {
  const size = sizeOf(tensor.shape);
  const values = out ?? new Float32Array(size);
  if (values.length !== size) throw new RangeError(`dequantize: out holds ${values.length} values, not ${size}`);
  dequantizeBlocks(tensor.packed, absmaxOf(tensor), tensor.blockSize, tensor.quantType, values);
  return values;
}

/**
 * The weight in bfloat16, row-major, two values in a word: the first in its low half, as they lie in memory.
 *
 * @param out where to write, of half the tensor's size; a new array without it
 * @throws RangeError if the number of values is odd, or `out` has another size
 */
export function dequantizeToBfloat16(tensor: QuantizedTensor, out?: Int32Array): Int32Array {
  const size = sizeOf(tensor.shape);
  if (size % 2 !== 0) throw new RangeError(`dequantize: ${size} values do not go in pairs`);
  const pairs = out ?? new Int32Array(size / 2);
  if (pairs.length !== size / 2) throw new RangeError(`dequantize: out holds ${pairs.length} pairs, not ${size / 2}`);
  dequantizeBlocksToBfloat16(tensor.packed, absmaxOf(tensor), tensor.blockSize, tensor.quantType, pairs);
  return pairs;
}

/** The scale of each block in float32, `[ceil(n / blockSize)]`. */
export function absmaxOf({ absmax }: QuantizedTensor): Float32Array {
  return absmax instanceof Float32Array ? absmax : doubleDequantize(absmax);
}

/** The bytes that the weight really holds: packed values and scales, the float32 offset of the scales included. */
export function byteLength({ packed, absmax }: QuantizedTensor): number {
  const scales = absmax instanceof Float32Array
    ? absmax.byteLength
    : absmax.codes.byteLength + absmax.nestedAbsmax.byteLength + Float32Array.BYTES_PER_ELEMENT;
  return packed.byteLength + scales;
}

/** Whether bitsandbytes knows the block size. */
export function isBlockSize(blockSize: number): boolean {
  return [32, 64, 128, 256, 512, 1024, 2048, 4096].includes(blockSize);
}
