import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { dequantize, quantize } from '../../../src/quant/quantize.ts';
import type { QuantizeOptions } from '../../../src/quant/quantize.ts';
import { Random } from '../../../src/random.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { HeldMatrix, isFusable, matmul } from '../../../src/tensor/kernels/matmul.ts';

function matrix(rows: number, columns: number, seed: number): Float32Array {
  const random = Random.for(seed, rows, columns);
  return Float32Array.from({ length: rows * columns }, () => random.normal());
}

/** a (rows, depth) · b (depth, columns) in float64. */
function reference(
  a: (row: number, k: number) => number, b: (k: number, column: number) => number,
  rows: number, depth: number, columns: number,
): number[] {
  return Array.from({ length: rows * columns }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += a(Math.floor(i / columns), k) * b(k, i % columns);
    return sum;
  });
}

function same(a: tf.Tensor, b: tf.Tensor): boolean {
  return Buffer.from(a.dataSync().buffer).equals(Buffer.from(b.dataSync().buffer));
}

/** Rounding errors of a sum of `depth` terms of size one. */
function expectClose(ours: Float32Array, exact: number[], depth: number): void {
  expect(ours).toHaveLength(exact.length);
  const worst = exact.reduce((most, x, i) => Math.max(most, Math.abs(x - ours[i]!)), 0);
  expect(worst).toBeLessThan(1e-6 * depth);
}

beforeAll(() => useBackend('wasm'));

describe('a · b on all threads', () => {
  const shapes = [[1, 1, 1], [6, 8, 8], [7, 5, 9], [13, 300, 16], [100, 16, 40], [3, 600, 7], [101, 33, 257]] as const;
  it.each(shapes)('is that in float64, of (%d, %d) and (… %d), as they are and transposed', (rows, depth, columns) => {
    const [a, b] = [matrix(rows, depth, 1), matrix(depth, columns, 2)];
    const exact = reference(
      (row, k) => a[row * depth + k]!, (k, column) => b[k * columns + column]!, rows, depth, columns);
    tf.tidy(() => {
      const [left, right] = [tf.tensor2d(a, [rows, depth]), tf.tensor2d(b, [depth, columns])];
      const turned = [left.transpose() as tf.Tensor2D, right.transpose() as tf.Tensor2D] as const;
      const results = [
        matmul(left, right),
        matmul(left, turned[1], { transposeB: true }),
        matmul(turned[0], right, { transposeA: true }),
        matmul(turned[0], turned[1], { transposeA: true, transposeB: true }),
      ];
      for (const result of results) {
        expect(result.shape).toEqual([rows, columns]);
        expectClose(result.dataSync<'float32'>(), exact, depth);
      }
      // The same sums in the same order: bit for bit.
      for (const result of results) expect(same(result, results[0]!)).toBe(true);
    });
  });
});

describe('products by a 4-bit matrix', () => {
  const kinds: QuantizeOptions[] = [
    {}, { doubleQuant: false }, { quantType: 'fp4' }, { quantType: 'int4', doubleQuant: false },
    { blockSize: 32 }, { blockSize: 128, doubleQuant: false },
  ];
  const shapes = [[8, 128], [30, 384], [704, 256]] as const;
  const cases = kinds.flatMap((kind) => shapes.map(([out, input]) => ({ ...kind, out, input })));

  it.each(cases)('are those by the wide matrix, both ways, bit for bit: %o', ({ out, input, ...kind }) => {
    const quantized = quantize(matrix(out, input, 3), [out, input], kind);
    expect(isFusable(quantized)).toBe(true);
    const held = new HeldMatrix(quantized);
    tf.tidy(() => {
      const wide = tf.tensor2d(dequantize(quantized), [out, input]);
      for (const rows of [1, 101]) {
        const x = tf.tensor2d(matrix(rows, input, 4), [rows, input]);
        const dy = tf.tensor2d(matrix(rows, out, 5), [rows, out]);
        expect(same(held.product(x, true), matmul(x, wide, { transposeB: true }))).toBe(true);
        expect(same(held.product(dy, false), matmul(dy, wide))).toBe(true);
      }
    });
    expect(Buffer.from(dequantize(held.quantized).buffer).equals(Buffer.from(dequantize(quantized).buffer))).toBe(true);
    held.dispose();
  });

  it('refuses what has blocks across rows, which goes by way of the wide matrix', () => {
    expect(isFusable(quantize(matrix(4, 96, 6), [4, 96]))).toBe(false);
    expect(isFusable(quantize(matrix(1, 256, 6), [256]))).toBe(false);
  });
});
