import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dequantize, dequantizeToBfloat16, quantize } from '../../src/quant/quantize.ts';
import type { QuantizedTensor, QuantizeOptions } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { toFloat32, useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { graphMode } from '../../src/tensor/graph-mode.ts';
import { NativeGraphs } from '../../src/tensor/native/graph.ts';
import { isKeptPacked, PackedMatrix, useWidening } from '../../src/tensor/native-packed.ts';
import { QuantizedMatrix } from '../../src/tensor/quantized.ts';
import { noLibrary } from '../backend.ts';

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

// Native TensorFlow is there after `npm run setup:tensorflow` only. On a GPU its own operations make matrices wide.
describe.runIf(hasTensorflow()).each(['ours', 'tensorflow'] as const)(`a 4-bit matrix kept packed, made wide by %s${noLibrary}`, (widening) => {
  beforeAll(() => useBackend('tensorflow'));
  beforeEach(() => useWidening(widening));
  afterEach(() => {
    useWidening(undefined);
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
    const [wide, narrow] = tf.tidy(() => [packed.wide(), toFloat32(packed.wide('bfloat16'))]);
    expect(tf.memory().numTensors).toBe(before + 2);
    expect(wide.shape).toEqual(shape);
    expect(wide.dataSync()).toEqual(dequantize(quantized));
    expect(narrow.shape).toEqual(shape);
    const words = dequantizeToBfloat16(quantized);
    const halves = Int32Array.from(
      { length: 2 * words.length }, (_, i) => (i % 2 ? words[i >> 1]! : words[i >> 1]! << 16) & ~0xffff);
    expect(new Int32Array(narrow.dataSync<'float32'>().buffer)).toEqual(halves);
    expect(packed.quantized).toEqual(quantized);
    tf.dispose([wide, narrow]);
    packed.dispose();
  });

  it('takes half a byte a weight and its scales, and gives all of it back', () => {
    const quantized = matrix([256, 128]);
    const { numTensors, numBytes } = tf.memory();
    const packed = new PackedMatrix(quantized);
    const bytes = 256 * 128 / 2 + 512; // and 512 codes of scales
    const table = widening === 'ours' ? 16 : 2 * 256;
    expect(tf.memory().numBytes - numBytes).toBe(bytes + 4 * (table + 256 + 2 + 1)); // float32
    packed.dispose();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });

  it.each([false, true])('multiplies both ways as one that the host makes wide; in bfloat16: %s', (bfloat16) => {
    useMixedPrecision(bfloat16);
    const quantized = matrix([48, 64]);
    const [x, dy] = [tf.tensor2d(normal(5 * 64), [5, 64]), tf.tensor2d(normal(5 * 48), [5, 48])];
    const before = tf.memory().numTensors;
    useWidening('host');
    const host = product(quantized, x, dy);
    useWidening(widening);
    expect(isKeptPacked(quantized)).toBe(true);
    const found = product(quantized, x, dy);
    if (bfloat16 && widening === 'ours') { // by tiles, where the processor has them: native/linear.test.ts
      found.y.forEach((y, i) => expect(Math.abs(y - host.y[i]!)).toBeLessThan(0.2));
      found.dx.forEach((dx, i) => expect(Math.abs(dx - host.dx[i]!)).toBeLessThan(0.2));
    } else {
      expect(found).toEqual(host);
    }
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([x, dy]);
  });

  it('leaves to the host one whose last block is not whole', () => {
    const quantized = matrix([3, 50]);
    expect(isKeptPacked(quantized)).toBe(false);
    const held = new QuantizedMatrix(quantized);
    const wide = tf.tidy(() => held.wide());
    expect(wide.dataSync()).toEqual(dequantize(quantized));
    wide.dispose();
  });

  it('is made wide by TensorFlow on a GPU, where no graph would take its inputs from the host', () => {
    const backend = tf.backend() as unknown as { isUsingGpuDevice: boolean };
    const quantized = matrix([4, 64]);
    useWidening('host');
    expect(isKeptPacked(quantized)).toBe(false);
    backend.isUsingGpuDevice = true;
    try {
      expect(isKeptPacked(quantized)).toBe(true);
      expect(graphMode()).toBeUndefined();
    } finally {
      backend.isUsingGpuDevice = false;
    }
    expect(graphMode()).toBeInstanceOf(NativeGraphs);
  });

  it('is a part of graphs, each layer with its own: the same, and nothing else is copied into them', () => {
    const layers = [new QuantizedMatrix(matrix([32, 64])), new QuantizedMatrix(matrix([32, 64]))];
    const x = tf.tensor2d(normal(5 * 64), [5, 64]);
    const graphs = new NativeGraphs();
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
