import { describe, expect, it } from 'vitest';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';
import * as plain from '../../src/quant/blockwise.ts';
import type { QuantType } from '../../src/quant/codebooks.ts';
import * as simd from '../../src/quant/simd.ts';
import { Random } from '../../src/random.ts';

const types: QuantType[] = ['nf4', 'fp4', 'int4'];
const blockSizes = [32, 64, 256, 4096];
/** One value, part of a block, whole ones, more than a chunk of them, and an odd end. */
const sizes = [1, 40, 4096, 4096 + 65, 2 ** 16 + 3 * 64, 2 ** 17 + 4095];
const cases = types.flatMap((type) => blockSizes.map((blockSize) => [type, blockSize] as const));

function weights(size: number): Float32Array {
  const random = Random.for(1, 'weights', size);
  const values = Float32Array.from({ length: size }, () => random.normal());
  values.fill(0, 0, 64); // a block of zeros
  return values;
}

/** Values that lie on the midpoints between codes, and a rounding to either side of them. */
function ties(type: QuantType): Float32Array {
  const around = plain.ranksOf(type).midpoints.flatMap((midpoint) => {
    const bits = new Int32Array(Float32Array.of(midpoint).buffer)[0]!;
    return [...new Float32Array(Int32Array.of(bits - 1, bits, bits + 1).buffer)];
  });
  return Float32Array.from({ length: 64 }, (_, i) => (i === 0 ? 1 : around[i % around.length]!));
}

function quantized<T extends Float32Array | Uint16Array>(
  by: (values: T, ...rest: [number, QuantType, Uint8Array, Float32Array]) => void,
  values: T, blockSize: number, type: QuantType,
) {
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  by(values, blockSize, type, packed, absmax);
  return { packed, absmax };
}

/** Byte for byte; said in one go, for what is compared is long. */
function expectSame(...[a, b]: readonly (Uint8Array | Float32Array | Int32Array)[]): void {
  expect(Buffer.from(a!.buffer).equals(Buffer.from(b!.buffer))).toBe(true);
}

describe.each(cases)('blocks by SIMD, %s by %d', (type, blockSize) => {
  it.each(sizes)('are quantised to the same bytes: %d values', (size) => {
    const values = weights(size);
    const [ours, theirs] = [simd, plain].map((by) => quantized(by.quantizeBlocks, values, blockSize, type));
    expectSame(ours!.packed, theirs!.packed);
    expectSame(ours!.absmax, theirs!.absmax);
  });

  it.each(sizes)('are quantised from the bits of bfloat16 as from its numbers: %d values', (size) => {
    const bits = toBfloat16(weights(size));
    const values = new Float32Array(Uint32Array.from(bits, (each) => each << 16).buffer);
    expect(quantized(simd.quantizeBlocks, bits, blockSize, type))
      .toEqual(quantized(simd.quantizeBlocks, values, blockSize, type));
  });

  it.each(sizes)('come back as the same bits: %d values', (size) => {
    const { packed, absmax } = quantized(plain.quantizeBlocks, weights(size), blockSize, type);
    const back = (by: typeof plain.dequantizeBlocks) => {
      const out = new Float32Array(size);
      by(packed, absmax, blockSize, type, out);
      return out;
    };
    expectSame(back(simd.dequantizeBlocks), back(plain.dequantizeBlocks));
  });

  it.each(sizes.map((size) => size + size % 2))('come back as the same bits of bfloat16: %d values', (size) => {
    const { packed, absmax } = quantized(plain.quantizeBlocks, weights(size), blockSize, type);
    const back = (by: typeof plain.dequantizeBlocksToBfloat16) => {
      const out = new Int32Array(size / 2);
      by(packed, absmax, blockSize, type, out);
      return out;
    };
    expectSame(back(simd.dequantizeBlocksToBfloat16), back(plain.dequantizeBlocksToBfloat16));
  });
});

it.each(types)('a value between two codes of %s takes the lower, and its neighbours each their side', (type) => {
  const values = ties(type);
  expect(quantized(simd.quantizeBlocks, values, 64, type)).toEqual(quantized(plain.quantizeBlocks, values, 64, type));
});

it.each([NaN, Infinity, -Infinity])('%s is refused, with the place of its block', (value) => {
  const values = weights(2 ** 16 + 256);
  values[2 ** 16 + 70] = value;
  expect(() => quantized(simd.quantizeBlocks, values, 64, 'nf4')).toThrow(
    new RangeError('quantize: a value between 65600 and 65663 is not finite'));
});
