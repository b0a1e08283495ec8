import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { quantize } from '../../../src/quant/quantize.ts';
import type { QuantizeOptions } from '../../../src/quant/quantize.ts';
import { Random } from '../../../src/random.ts';
import { hasTensorflow, useBackend } from '../../../src/tensor/backend.ts';
import { toFloat32, useMixedPrecision } from '../../../src/tensor/bfloat16.ts';
import { NativeGraphs } from '../../../src/tensor/native/graph.ts';
import { PackedMatrix } from '../../../src/tensor/native-packed.ts';
import { packedLinear } from '../../../src/tensor/native/linear.ts';
import { plusUpdate } from '../../../src/tensor/linear.ts';
import type { Update } from '../../../src/tensor/linear.ts';
import { QuantizedMatrix } from '../../../src/tensor/quantized.ts';
import { noLibrary } from '../../backend.ts';

const random = new Random(7);
const normal = (...shape: [number, number]) =>
  tf.tensor2d(Float32Array.from({ length: shape[0] * shape[1] }, () => random.normal()), shape);
const quantized = (shape: [number, number], options: QuantizeOptions = {}) =>
  quantize(Float32Array.from({ length: shape[0] * shape[1] }, () => random.normal()), shape, options);

/** How far two tensors are from one another, by the largest number. */
function distance(found: Tensor, expected: Tensor): number {
  expect(found.shape).toEqual(expected.shape);
  return tf.tidy(() => found.sub(expected).abs().max().div(expected.abs().max()).dataSync()[0]!);
}

type Layer = (x: Tensor2D, update: Update) => Tensor2D;

/** The layer, and the gradients of Σ y · dy with respect to what it is given. */
function thereAndBack(layer: Layer, given: readonly Tensor2D[], dy: Tensor2D): Tensor[] {
  const apply = (...tensors: Tensor[]) => {
    const [x, a, b, u = x] = tensors as [Tensor2D, Tensor2D, Tensor2D, Tensor2D?];
    return layer(x, { x: u, a, b, scaling: 2 });
  };
  return [
    tf.tidy(() => apply(...given)),
    ...tf.grads((...tensors: Tensor[]) => apply(...tensors).mul(dy).sum())([...given]),
  ];
}

const noTiles = 'el procesador no tiene AMX';

// The operations are there after `npm run setup:tensorflow`, on a processor with AMX.
describe.runIf(hasTensorflow())(`a linear layer from 4 bits with its update, by tiles of bfloat16${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));
  afterEach(() => useMixedPrecision(false));

  it.for([
    { rows: 1, input: 64, out: 1, r: 1 },
    { rows: 7, input: 128, out: 48, r: 8 },
    { rows: 32, input: 192, out: 64, r: 16 },
    { rows: 45, input: 1152, out: 33, r: 33, note: 'sums in two parts' },
    { rows: 70, input: 576, out: 100, r: 64, options: { doubleQuant: false } },
    { rows: 16, input: 96, out: 32, r: 4, options: { quantType: 'fp4', blockSize: 32 } as const },
  ])('is what float32 gives to the precision of its factors, there and back: $rows × $input → $out, r = $r', (shape, context) => {
    const { rows, input, out, r, options } = shape;
    const packed = new PackedMatrix(quantized([out, input], options));
    if (!packed.multiplies) context.skip(noTiles);
    const wide: Layer = (x, update) => plusUpdate(tf.matMul(x, packed.wide(), false, true), update);
    const tiles: Layer = (x, update) => packedLinear(x, packed, update);
    const dy = normal(rows, out);
    for (const dropped of [[], [normal(rows, input)]]) { // whether the update looks at another x
      const given = [normal(rows, input), normal(r, input), normal(out, r), ...dropped];
      const before = tf.memory().numTensors;
      const [found, expected] = [thereAndBack(tiles, given, dy), thereAndBack(wide, given, dy)];
      expect(tf.memory().numTensors).toBe(before + found.length + expected.length);
      found.forEach((tensor, i) => expect(distance(tensor, expected[i]!), `result ${i}`).toBeLessThan(1e-2));
      const again = thereAndBack(tiles, given, dy);
      again.forEach((tensor, i) => expect(tensor.dataSync()).toEqual(found[i]!.dataSync())); // however threads share
      tf.dispose([found, expected, again, given]);
    }
    packed.dispose();
  });

  it('sums in float32 what it multiplies: exact where the factors are', (context) => {
    const ones = new PackedMatrix(quantize(new Float32Array(64 * 2048).fill(1), [64, 2048]));
    if (!ones.multiplies) context.skip(noTiles);
    const sums = tf.tidy(() => ones.product(tf.ones([40, 2048]), true).dataSync());
    const one = tf.tidy(() => toFloat32(ones.wide('bfloat16')).dataSync()[0]!); // its scale is of 8 bits
    expect([...new Set(sums)]).toEqual([2048 * one]); // a sum in bfloat16 would stay at 256
    ones.dispose();
  });

  it('is a part of graphs, each layer with its own', (context) => {
    useMixedPrecision(true);
    const layers = [new QuantizedMatrix(quantized([32, 64])), new QuantizedMatrix(quantized([32, 64]))];
    const [x, a, b] = [normal(5, 64), normal(4, 64), normal(32, 4)];
    if (!new PackedMatrix(quantized([32, 64])).multiplies) context.skip(noTiles);
    const graphs = new NativeGraphs();
    const layer = (member: number) => layers[member]!.linearWithUpdate(x, { x, a, b, scaling: 1 });
    for (const _ of [1, 2]) {
      layers.forEach((_, member) => {
        const [found] = graphs.run({ name: 'linear', member, args: [x, a, b], seed: 0 }, () => [layer(member)]);
        const expected = tf.tidy(() => layer(member));
        expect(found!.dataSync()).toEqual(expected.dataSync());
        tf.dispose([found!, expected]);
      });
    }
    expect(graphs.problems).toEqual(new Map());
    graphs.dispose();
  });
});
