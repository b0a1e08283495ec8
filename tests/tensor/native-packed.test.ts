import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dequantize, dequantizeToBfloat16, quantize } from '../../src/quant/quantize.ts';
import type { QuantizedTensor, QuantizeOptions } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { graphMode, Graphs } from '../../src/tensor/graph.ts';
import { isKeptPacked, keepPacked, PackedMatrix } from '../../src/tensor/native-packed.ts';
import { QuantizedMatrix } from '../../src/tensor/quantized.ts';

const random = new Random(5);
const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const matrix = (shape: [number, number], options: QuantizeOptions = {}) =>
  quantize(normal(shape[0] * shape[1]), shape, options);

/** y = x · Wᵀ of a fresh matrix, and dx of Σ y · dy. */
function product(given: QuantizedTensor, x: Tensor2D, dy: Tensor2D): { y: Float32Array; dx: Float32Array } {
  const held = new QuantizedMatrix(given);
  const found = tf.tidy(() => {
    const { value, grad } = tf.valueAndGrad((x: Tensor) => held.linear(x as Tensor2D).mul(dy).sum())(x);
    value.dataSync();
    return { y: held.linear(x).dataSync<'float32'>().slice(), dx: grad.dataSync<'float32'>().slice() };
  });
  held.dispose();
  return found;
}

// Native TensorFlow is there after `npm run setup:tensorflow` only; on a GPU matrices are kept so by themselves.
describe.runIf(hasTensorflow())('a 4-bit matrix kept packed on the device of native TensorFlow', () => {
  beforeAll(() => useBackend('tensorflow'));
  afterEach(() => {
    keepPacked(false);
    useMixedPrecision(false);
  });

  it.each([
    ['NF4 in double quantisation, scales in whole blocks', [256, 64], {}],
    ['scales that do not fill a block of theirs', [24, 128], {}],
    ['scales in several blocks, the last not full', [300, 128], {}],
    ['plain scales', [24, 128], { doubleQuant: false }],
    ['FP4, in blocks of 128', [6, 256], { quantType: 'fp4', blockSize: 128 }],
    ['Int4, in blocks of 32', [10, 32], { quantType: 'int4', blockSize: 32 }],
  ] as [string, [number, number], QuantizeOptions][])('is made wide to the last bit as on the host: %s', (_, shape, options) => {
    const quantized = matrix(shape, options);
    const packed = new PackedMatrix(quantized);
    const before = tf.memory().numTensors;
    const [wide, pairs] = [packed.wide(), packed.widePairs()];
    expect(tf.memory().numTensors).toBe(before + 2);
    expect(wide.shape).toEqual(shape);
    expect(wide.dataSync()).toEqual(dequantize(quantized));
    expect(pairs.shape).toEqual([shape[0], shape[1] / 2]);
    expect(pairs.dataSync()).toEqual(dequantizeToBfloat16(quantized));
    tf.dispose([wide, pairs]);
    packed.dispose();
  });

  it('takes half a byte a weight and its scales, and gives all of it back', () => {
    const quantized = matrix([256, 128]);
    const { numTensors, numBytes } = tf.memory();
    const packed = new PackedMatrix(quantized);
    const bytes = 256 * 128 / 2 + 512; // and 512 codes of scales
    expect(tf.memory().numBytes - numBytes).toBe(bytes + 4 * (2 * 256 + 256 + 2 + 1)); // tables, float32
    packed.dispose();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });

  it.each([false, true])('multiplies both ways as one that the host makes wide; in bfloat16: %s', (bfloat16) => {
    useMixedPrecision(bfloat16);
    const quantized = matrix([48, 64]);
    const [x, dy] = [tf.tensor2d(normal(5 * 64), [5, 64]), tf.tensor2d(normal(5 * 48), [5, 48])];
    const before = tf.memory().numTensors;
    const host = product(quantized, x, dy);
    keepPacked(true);
    expect(isKeptPacked(quantized)).toBe(true);
    expect(product(quantized, x, dy)).toEqual(host);
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([x, dy]);
  });

  it('leaves to the host one whose last block is not whole', () => {
    keepPacked(true);
    const quantized = matrix([3, 50]);
    expect(isKeptPacked(quantized)).toBe(false);
    const held = new QuantizedMatrix(quantized);
    const wide = held.wide();
    expect(wide.dataSync()).toEqual(dequantize(quantized));
    wide.dispose();
  });

  it('is kept so on a GPU without being asked for, where no graph would take its inputs from the host', () => {
    const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean };
    const quantized = matrix([4, 64]);
    expect(isKeptPacked(quantized)).toBe(false);
    backend.isUsingGpuDevice = true;
    try {
      expect(isKeptPacked(quantized)).toBe(true);
      expect(graphMode()).toBeUndefined();
    } finally {
      backend.isUsingGpuDevice = false;
    }
    expect(graphMode()).toBeInstanceOf(Graphs);
  });

  it('is a part of graphs, each layer with its own: the same, and nothing else is copied into them', () => {
    keepPacked(true);
    const layers = [new QuantizedMatrix(matrix([32, 64])), new QuantizedMatrix(matrix([32, 64]))];
    const x = tf.tensor2d(normal(5 * 64), [5, 64]);
    const graphs = new Graphs();
    const run = (member: number) => graphs.run({ name: 'linear', member, args: [x], seed: 0 }, () => [layers[member]!.linear(x)]);
    for (const _ of [1, 2]) {
      layers.forEach((layer, member) => {
        const [[found], expected] = [run(member), tf.tidy(() => layer.linear(x))];
        expect(found!.dataSync()).toEqual(expected.dataSync());
        tf.dispose([found!, expected]);
      });
    }
    expect(graphs.problems).toEqual(new Map());
    expect((graphs as unknown as { loaded: Map<string, unknown[]> }).loaded.get('linear 5×64')).toHaveLength(1);
    graphs.dispose();
  });
});
