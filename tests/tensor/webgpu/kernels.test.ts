import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { causalPlacement } from '../../../src/model/llama.ts';
import { DenseWeight } from '../../../src/model/weights.ts';
import { quantize } from '../../../src/quant/quantize.ts';
import { Random } from '../../../src/random.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { dropout } from '../../../src/tensor/dropout.ts';
import { linear } from '../../../src/tensor/linear.ts';
import { attention, crossEntropy, rmsNorm, rotary, swiglu } from '../../../src/tensor/ops.ts';
import { QuantizedMatrix } from '../../../src/tensor/quantized.ts';
import { lowerBindingBytes, usedAdapter } from '../../../src/tensor/webgpu/device.ts';
import type { MatrixUnit } from '../../../src/tensor/webgpu/device.ts';
import { matmul } from '../../../src/tensor/webgpu/matmul.ts';
import { runProgram } from '../../../src/tensor/webgpu/program.ts';
import { useSubgroups } from '../../../src/tensor/webgpu/reduce.ts';
import { tiles, unitTiles, useBlock, useHalves, useMatrixUnits, useTile, useUnitTile } from '../../../src/tensor/webgpu/tiles.ts';
import { tinyConfig } from '../../tiny.ts';
import { hasAdapter, why } from './adapter.ts';
import { stayWithinBounds } from './bounds.ts';
import { emulateUnit, oblongCore, tensorCore } from './emulated-units.ts';

/** The largest difference that a kernel may make, relative to the largest value of its reference. */
const BAR = 1e-4;

const normal = (...shape: number[]): Tensor => {
  const random = Random.for(3, ...shape);
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()), shape);
};

/** A function of some tensors, and the values and gradients that it is compared by. */
type Case = () => Tensor[];

const withGradients = (f: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]): Tensor[] => {
  const y = f(...xs);
  return [y, ...tf.grads(f as (...xs: Tensor[]) => Tensor)(xs, normal(...y.shape, 1).reshape(y.shape))];
};

const cases: [string, Case][] = [
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

const values = (found: Case) => tf.tidy(() => found().map((x) => x.dataSync<'float32'>().slice()));

describe.runIf(hasAdapter)(`the WGSL kernels${why}`, () => {
  const expected = new Map<string, Float32Array[]>();
  beforeAll(async () => {
    await useBackend('cpu'); // where the plain TensorFlow.js references run
    for (const [name, found] of cases) expected.set(name, values(found));
    expected.set('tiles', values(() => [tf.matMul(normal(70, 37) as Tensor2D, normal(37, 90) as Tensor2D)]));
    await useBackend('webgpu');
  });
  const pastEnds = stayWithinBounds();

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

  const isOffered = hasAdapter && usedAdapter()!.features.includes('shader-f16');
  const noHalves = isOffered || !hasAdapter ? '' : ' [el adaptador no ofrece shader-f16]';
  describe.runIf(isOffered)(`in half precision${noHalves}`, () => {
    beforeAll(() => useHalves(true));
    afterAll(() => useHalves(undefined));

    const multiplying = cases.filter(([name]) => / layer/.test(name));
    it.each(multiplying)('%s: as the reference to 1e-2', (name, found) => expectReference(name, found, 1e-2));
  });

  /** @param unit one to be emulated, in place of the device's own */
  const useUnits = (unit?: MatrixUnit) => {
    let withdraw = () => {};
    beforeAll(() => {
      if (unit) withdraw = emulateUnit(unit);
      useMatrixUnits(true);
    });
    afterAll(() => {
      withdraw();
      useMatrixUnits(undefined);
      useUnitTile(undefined);
    });
  };
  const testUnitTiles = () => it.each(Object.entries(unitTiles))('multiply by %s workgroups, both ways', (_, tile) => {
    useUnitTile(tile);
    expectProducts(1);
  });
  const testUnits = () => {
    const multiplying = cases.filter(([name]) => / layer/.test(name));
    it.each(multiplying)('%s: as the reference to 1e-2', (name, found) => expectReference(name, found, 1e-2));

    testUnitTiles();

    it('lose nothing of gradients that float16 cannot hold, however rows differ', () => {
      tf.tidy(() => {
        const sizes = tf.tensor2d(Array.from({ length: 40 }, (_, i) => 10 ** (10 - i)), [40, 1]);
        const [dy, w] = [normal(40, 64).mul<Tensor2D>(sizes), normal(64, 48) as Tensor2D];
        const ours = matmul(dy, w).div(sizes).dataSync();
        useMatrixUnits(false);
        const exact = matmul(dy, w).div(sizes).dataSync();
        useMatrixUnits(true);
        exact.forEach((value, i) => expect(ours[i]).toBeCloseTo(value, 1));
      });
    });
  };
  const hasUnits = hasAdapter && usedAdapter()!.units.length > 0;
  describe.runIf(hasUnits)(`by matrix units${hasUnits || !hasAdapter ? '' : ' [el adaptador no ofrece matrices de subgrupo]'}`, () => {
    useUnits();
    testUnits();
  });
  describe.runIf(isOffered)(`by emulated units of 16 × 16 × 16${noHalves}`, () => {
    useUnits(tensorCore);
    testUnits();
  });
  describe.runIf(isOffered)(`by emulated units of 16 × 8 × 32${noHalves}`, () => {
    useUnits(oblongCore);
    testUnitTiles();
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
