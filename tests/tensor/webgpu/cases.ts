import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { beforeAll, expect } from 'vitest';
import { causalPlacement } from '../../../src/model/llama.ts';
import { quantize } from '../../../src/quant/quantize.ts';
import { Random } from '../../../src/random.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { linear } from '../../../src/tensor/linear.ts';
import { attention, crossEntropy, rmsNorm, rotary, swiglu } from '../../../src/tensor/ops.ts';
import { QuantizedMatrix } from '../../../src/tensor/quantized.ts';
import { matmul } from '../../../src/tensor/webgpu/matmul.ts';
import { tinyConfig } from '../../tiny.ts';

/** The largest difference that a kernel may make, relative to the largest value of its reference. */
const BAR = 1e-4;

export const normal = (...shape: number[]): Tensor => {
  const random = Random.for(3, ...shape);
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()), shape);
};

/** A function of some tensors, and the values and gradients that it is compared by. */
export type Case = () => Tensor[];

export const withGradients = (f: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]): Tensor[] => {
  const y = f(...xs);
  return [y, ...tf.grads(f as (...xs: Tensor[]) => Tensor)(xs, normal(...y.shape, 1).reshape(y.shape))];
};

export const cases: [string, Case][] = [
  ...([[1, 5, 7, 1, 3], [6, 5, 7, 6, 9], [4, 1, 33, 1, 2]] as const).map(
    ([batch, rows, depth, batchB, columns]): [string, Case] => [
      `products of ${batch} × ${rows} × ${depth} and ${batchB} × ${depth} × ${columns}`, () => {
        const [a, b] = [normal(batch, rows, depth), normal(batchB, depth, columns)];
        const [turnedA, turnedB] = [a.transpose([0, 2, 1]), b.transpose([0, 2, 1])];
        return [
          tf.matMul(a, b), tf.matMul(turnedA, b, true), tf.matMul(a, turnedB, false, true),
          tf.matMul(turnedA, turnedB, true, true),
        ];
      }]),
  ...([[1, 1, 1], [7, 5, 9], [13, 300, 16], [66, 16, 41], [3, 64, 7]] as const).map(
    ([rows, depth, columns]): [string, Case] => [
      `a frozen and a trained linear layer, ${rows} × ${depth} × ${columns}`, () => {
        const [x, w] = [normal(rows, depth), normal(columns, depth)];
        return [
          ...withGradients((x) => linear(x as Tensor2D, w as Tensor2D, false), x),
          ...withGradients((x, w) => linear(x as Tensor2D, w as Tensor2D, true), x, w),
        ];
      }]),
  ...([
    [1, 1, 64, 64], [5, 7, 64, 64], [37, 50, 100, 64], [33, 130, 192, 64], [9, 50, 96, 32], [2, 12, 512, 128],
  ] as const).flatMap(
    ([rows, out, input, blockSize]) => (['nf4', 'fp4'] as const).flatMap((quantType) => [true, false].map(
      (doubleQuant): [string, Case] => [
        `a ${quantType} layer ${rows} × ${input} × ${out} by ${blockSize}${doubleQuant ? ', scales in 8 bits' : ''}`, () => {
          const random = Random.for(4, out, input);
          const values = Float32Array.from({ length: out * input }, () => random.normal());
          const weight = new QuantizedMatrix(quantize(values, [out, input], { quantType, blockSize, doubleQuant }));
          const found = withGradients((x) => weight.linear(x as Tensor2D), normal(rows, input));
          weight.dispose();
          return found;
        }]))),
  ...([[1, 3], [7, 33], [130, 256], [3, 1001], [2, 4100]] as const).flatMap(([rows, width]): [string, Case][] => [
    [`RMSNorm of ${rows} × ${width}`, () =>
      withGradients((x, w) => rmsNorm(x as Tensor2D, w as Tensor1D, 1e-5, true), normal(rows, width), normal(width))],
    [`RMSNorm of ${rows} × ${width} by a frozen weight`, () => {
      const w = normal(width) as Tensor1D;
      return withGradients((x) => rmsNorm(x as Tensor2D, w, 1e-5, false), normal(rows, width));
    }],
    [`SwiGLU of ${rows} × ${width}`, () =>
      withGradients((a, b) => swiglu(a as Tensor2D, b as Tensor2D), normal(rows, width), normal(rows, width).neg())],
    [`cross-entropy of ${rows} × ${width}`, () => {
      const labels = tf.tensor1d(Int32Array.from({ length: rows }, (_, i) => i * 7 % width), 'int32');
      return withGradients((x) => crossEntropy(x as Tensor2D, labels, 0.3), normal(rows, width).mul(4));
    }],
  ]),
  ...([
    [1, 1, 2, 2, 8], [2, 7, 4, 1, 8], [3, 33, 3, 1, 8], [2, 65, 4, 4, 8], [1, 130, 6, 2, 8], [3, 13, 6, 1, 16],
    [1, 1, 2, 2, 24], [2, 60, 8, 2, 32], [1, 129, 3, 3, 64], [1, 65, 4, 1, 128], [1, 9, 2, 1, 512],
  ] as const).map(
    ([batch, seq, heads, kvHeads, headDim]): [string, Case] => [
      `rotation and attention of ${batch} × ${seq}, ${heads} heads of ${headDim} on ${kvHeads}`, () => {
        const rows = batch * seq;
        const place = causalPlacement({ ...tinyConfig, heads, kvHeads, headDim }, batch, seq);
        return withGradients((q, k, v) => attention(
          rotary(q as Tensor3D, place.rotary),
          rotary(k as Tensor3D, place.rotary).reshape([batch, seq, kvHeads, headDim]),
          v.reshape([batch, seq, kvHeads, headDim]), place,
        ), normal(rows, heads, headDim), normal(rows, kvHeads, headDim), normal(rows, kvHeads, headDim).neg());
      }]),
];

export const values = (found: Case) => tf.tidy(() => found().map((x) => x.dataSync<'float32'>().slice()));

/** Has the references of these cases computed before a file's tests, which compare with them what `webgpu` finds. */
export function useReferences(chosen: typeof cases) {
  const expected = new Map<string, Float32Array[]>();
  beforeAll(async () => {
    await useBackend('cpu'); // where the plain TensorFlow.js references run
    for (const [name, found] of chosen) expected.set(name, values(found));
    expected.set('tiles', values(() => [tf.matMul(normal(70, 37) as Tensor2D, normal(37, 90) as Tensor2D)]));
    await useBackend('webgpu');
  });

  const expectReference = (name: string, found: Case, bar = BAR) => {
    const ours = values(found);
    const reference = expected.get(name)!;
    expect(ours).toHaveLength(reference.length);
    ours.forEach((x, i) => {
      expect(x).toHaveLength(reference[i]!.length);
      const largest = reference[i]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const worst = reference[i]!.reduce((most, value, at) => Math.max(most, Math.abs(value - x[at]!)), 0);
      expect(worst).toBeLessThan(bar * (largest || 1)); // the gradient of a lone score is zero
    });
  };

  /** Of a shape that fills no tile, by rows and by columns of the right matrix; to so many digits. */
  const expectProducts = (digits: number) => tf.tidy(() => {
    const [a, b] = [normal(70, 37) as Tensor2D, normal(37, 90) as Tensor2D];
    const ours = matmul(a, b).dataSync();
    const turned = matmul(a, b.transpose(), { transposeB: true }).dataSync();
    expected.get('tiles')![0]!.forEach((value, i) => {
      expect(ours[i]).toBeCloseTo(value, digits);
      expect(turned[i]).toBeCloseTo(value, digits);
    });
  });

  return { expectReference, expectProducts };
}
