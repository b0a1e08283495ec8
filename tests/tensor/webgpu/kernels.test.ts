import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DenseWeight } from '../../../src/model/weights.ts';
import { quantize } from '../../../src/quant/quantize.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { dropout } from '../../../src/tensor/dropout.ts';
import { rmsNorm, swiglu } from '../../../src/tensor/ops.ts';
import { QuantizedMatrix } from '../../../src/tensor/quantized.ts';
import { lowerBindingBytes } from '../../../src/tensor/webgpu/device.ts';
import { matmul } from '../../../src/tensor/webgpu/matmul.ts';
import { runProgram } from '../../../src/tensor/webgpu/program.ts';
import { useSubgroups } from '../../../src/tensor/webgpu/reduce.ts';
import { tiles, useBlock, useTile } from '../../../src/tensor/webgpu/tiles.ts';
import { hasAdapter, why } from './adapter.ts';
import { stayWithinBounds } from './bounds.ts';
import { cases, normal, useReferences, values, withGradients } from './cases.ts';

describe.runIf(hasAdapter)(`the WGSL kernels${why}`, () => {
  const { expectReference, expectProducts } = useReferences(cases);
  const pastEnds = stayWithinBounds();

  it.each(cases)('%s: as the reference, values and gradients', (name, found) => expectReference(name, found));

  const reducing = cases.filter(([name]) => /RMSNorm|entropy/.test(name));
  it.each(reducing)('%s: the same on a device without subgroups', (name, found) => {
    useSubgroups(false);
    try {
      expectReference(name, found);
    } finally {
      useSubgroups(true);
    }
  });

  const attending = cases.filter(([name]) => /heads of 8 on/.test(name));
  describe.each([8, 32] as const)('by blocks of %i', (block) => {
    beforeAll(() => useBlock(block));
    afterAll(() => useBlock(undefined));

    it.each(attending)('%s: the same', (name, found) => expectReference(name, found));
  });

  it.each([1, 4, 63, 130, 100_000, 100_003])('drop out of %d numbers what the processor drops', async (size) => {
    const dropped = () => tf.tidy(() => withGradients((x) => dropout(x as Tensor2D, 0.3, 7, 'layer'), normal(size, 1))
      .map((x) => x.dataSync<'float32'>().slice()));
    const ours = dropped();
    await useBackend('cpu');
    const reference = dropped();
    await useBackend('webgpu');
    ours.forEach((values, i) => {
      const different = values.findIndex((value, at) => Math.abs(value - reference[i]![at]!) > 1e-6 * Math.abs(value));
      expect(different).toBe(-1);
    });
  });

  describe('of a tensor that is larger than the device takes', () => {
    afterEach(() => lowerBindingBytes(Infinity));

    it('multiply by parts of a 4-bit matrix, both ways', () => {
      const whole = quantize(normal(700, 64).dataSync<'float32'>(), [700, 64]);
      const product = () => tf.tidy(() => {
        const weight = new QuantizedMatrix(whole);
        const found = values(() => withGradients((x) => weight.linear(x as Tensor2D), normal(5, 64)));
        weight.dispose();
        return found;
      });
      const expected = product();
      lowerBindingBytes(8192); // 256 rows
      product().forEach((found, i) => found.forEach((value, at) => expect(value).toBeCloseTo(expected[i]![at]!, 3)));
    });

    it('take rows of an embedding, multiply by a head and lose by its logits, part by part', () => {
      const table = normal(50, 16).dataSync<'float32'>();
      const ids = tf.tensor1d([0, 49, 12, 13, 13, 31, 7], 'int32');
      const all = () => {
        const weight = new DenseWeight(table, [50, 16]);
        const found = values(() => [
          weight.rows(ids), ...withGradients((x) => weight.linear(x as Tensor2D), normal(7, 16)),
        ]);
        weight.dispose();
        return found;
      };
      const expected = all();
      const before = tf.memory().numTensors;
      lowerBindingBytes(13 * 64); // 13 rows
      all().forEach((found, i) => found.forEach((value, at) => expect(value).toBeCloseTo(expected[i]![at]!, 4)));
      expect(tf.memory().numTensors).toBe(before);
      ids.dispose();
    });
  });

  it.each(tiles)('multiply by tiles of %o', (tile) => {
    useTile(tile);
    try {
      expectProducts(4);
    } finally {
      useTile(undefined);
    }
  });

  it('multiply both ways transposed', () => {
    tf.tidy(() => {
      const [a, b] = [normal(7, 5) as Tensor2D, normal(9, 7) as Tensor2D];
      const turned = matmul(a.transpose(), b.transpose()).dataSync();
      const ours = matmul(a, b, { transposeA: true, transposeB: true }).dataSync();
      ours.forEach((x, i) => expect(x).toBeCloseTo(turned[i]!, 5));
    });
  });

  it('are found out where they read past an end', async () => {
    const past = (name: string, at: string) => tf.tidy(() => runProgram({
      key: name, write: { y: [4] }, read: { x: tf.ones([4]) }, integers: { size: 4 }, invocations: 4,
      code: () => ({ main: `if (index < p.size) { y[index] = x[${at}]; }` }),
    })[0]!.dataSync());
    past('within', 'index');
    past('past the end', 'index + 1');
    expect(await pastEnds()).toEqual(['past the end']);
  });

  it('leave no tensor and no buffer behind, whatever the sizes', () => {
    const once = (rows: number) => values(() => {
      const [gate, up, weight] = [normal(rows, 33), normal(rows, 33), tf.ones<tf.Rank.R1>([33])];
      return withGradients((a, b) => swiglu(rmsNorm(a as Tensor2D, weight, 1e-5, false), b as Tensor2D), gate, up);
    });
    once(8);
    const before = tf.memory() as tf.MemoryInfo & { numBytesInGPU: number };
    for (let step = 0; step < 300; step++) once(1 + step % 40);
    expect(tf.memory()).toMatchObject({ numTensors: before.numTensors, numBytesInGPU: before.numBytesInGPU });
  }, 120_000);
});
