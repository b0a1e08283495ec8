import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { rotaryTables } from '../../../src/model/rotary.ts';
import { Random } from '../../../src/random.ts';
import { hasTensorflow, useBackend } from '../../../src/tensor/backend.ts';
import { NativeGraphs } from '../../../src/tensor/native/graph.ts';
import { hasOurs } from '../../../src/tensor/native.ts';
import { rmsNorm, rotary, swiglu } from '../../../src/tensor/ops.ts';
import { noLibrary } from '../../backend.ts';
import { difference } from '../../difference.ts';
import { tinyConfig } from '../../tiny.ts';

const EPSILON = 1e-3;

/** Numbers of a normal distribution. */
function tensor<T extends Tensor>(name: string, ...shape: number[]): T {
  const random = Random.for(7, name.length, ...shape);
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 3 * random.normal()), shape) as T;
}

/** Value and gradients of each operation. */
function run(rows: number, width: number): Record<string, Tensor[]> {
  const all = (f: (...args: Tensor[]) => Tensor, ...args: Tensor[]) => {
    const value = f(...args);
    return [value, ...tf.grads(f)(args, tensor('the gradient', ...value.shape))];
  };
  const [x, y, weight] = [tensor('x', rows, width), tensor('yy', rows, width), tensor('weight', width)];
  const heads = tensor('heads', rows, 3, 8 * Math.ceil(width / 8));
  const positions = Array.from({ length: rows }, (_, i) => 2 * i);
  const tables = rotaryTables({ ...tinyConfig, headDim: heads.shape[2]! }, positions);
  return {
    norm: all((x) => rmsNorm(x as Tensor2D, weight as Tensor1D, EPSILON, false), x),
    trainedNorm: all((x, weight) => rmsNorm(x as Tensor2D, weight as Tensor1D, EPSILON, true), x, weight),
    swiglu: all((gate, up) => swiglu(gate as Tensor2D, up as Tensor2D), x, y),
    rotary: all((x) => rotary(x as Tensor3D, tables), heads),
  };
}

function values(of: Record<string, Tensor[]>): Record<string, Float32Array[]> {
  return Object.fromEntries(Object.entries(of).map(
    ([name, each]) => [name, each.map((x) => x.dataSync<'float32'>().slice())]));
}

const shapes: [number, number][] = [[1, 8], [7, 50], [33, 64], [60, 576], [5, 1000]];

// Native TensorFlow is there after `npm run setup:tensorflow` only.
describe.runIf(hasTensorflow())(`the operations of ours on rows${noLibrary}`, () => {
  const expected = new Map<string, Record<string, Float32Array[]>>();
  beforeAll(async () => {
    await useBackend('cpu'); // where TensorFlow.js's tensors do it
    for (const shape of shapes) expected.set(shape.join(), tf.tidy(() => values(run(...shape))));
    await useBackend('tensorflow');
    expect(hasOurs()).toBe(true);
  });

  it.each(shapes)('give what tensors do, values and gradients, the same to the last bit each time: %i × %i', (...shape) => {
    const before = tf.memory().numTensors;
    const found = tf.tidy(() => values(run(...shape)));
    expect(tf.memory().numTensors).toBe(before);
    for (const [name, references] of Object.entries(expected.get(shape.join())!)) {
      references.forEach((reference, i) => expect(difference(reference, found[name]![i]!), `${name} ${i}`).toBeLessThan(2e-6));
    }
    expect(tf.tidy(() => values(run(...shape)))).toEqual(found);
  });

  it('hold where exp would not: numbers of any size', () => {
    const gate = [-1e30, -200, -88, 0, 88, 200, 1e30];
    const sigmoids = [0, 0, 0, 0.5, 1, 1, 1];
    tf.tidy(() => {
      const [dGate, dUp] = tf.grads((gate: Tensor, up: Tensor) => swiglu(gate as Tensor2D, up as Tensor2D))(
        [tf.tensor2d(gate, [1, 7]), tf.ones([1, 7])], tf.ones([1, 7]));
      dGate!.dataSync().forEach((x, i) => expect(x).toBeCloseTo(sigmoids[i]!));
      dUp!.dataSync().forEach((x, i) => expect(x / Math.max(1, Math.abs(gate[i]!))).toBeCloseTo(gate[i]! > 0 ? 1 : 0));
    });
  });

  it('are parts of graphs', () => {
    const graphs = new NativeGraphs();
    const [x, weight] = [tensor<Tensor2D>('x', 5, 24), tensor<Tensor1D>('weight', 24)];
    const tables = rotaryTables({ ...tinyConfig, headDim: 8 }, [0, 1, 2, 3, 4]);
    const f = () => {
      const normed = rmsNorm(x, weight, EPSILON, false);
      return [swiglu(normed, x), rotary(normed.reshape([5, 3, 8]), tables)];
    };
    const direct = tf.tidy(f);
    for (const _ of [1, 2]) {
      const found = graphs.run({ name: 'rows', member: 0, args: [x, weight, tables.cos, tables.sin], seed: 0 }, f);
      expect(found.map((x) => x.dataSync())).toEqual(direct.map((x) => x.dataSync()));
      tf.dispose(found);
    }
    expect(graphs.problems).toEqual(new Map());
    graphs.dispose();
    tf.dispose([...direct, x, weight, tables.cos, tables.sin, tables.turn]);
  });
});
