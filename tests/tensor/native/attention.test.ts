import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { causalPlacement } from '../../../src/model/llama.ts';
import { Random } from '../../../src/random.ts';
import { hasTensorflow, useBackend } from '../../../src/tensor/backend.ts';
import { NativeGraphs } from '../../../src/tensor/native/graph.ts';
import { causalAttention, causalAttentionGradients } from '../../../src/tensor/native/attention.ts';
import { hasOurs } from '../../../src/tensor/native.ts';
import { attention } from '../../../src/tensor/ops.ts';
import { noLibrary } from '../../backend.ts';
import { difference } from '../../difference.ts';
import { tinyConfig } from '../../tiny.ts';

interface Shape {
  batch: number;
  seq: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}

type Four<T> = [T, T, T, T];

/** q, k, v and the output's gradient. */
function given({ batch, seq, heads, kvHeads, headDim }: Shape): Four<Float32Array> {
  const random = Random.for(5, batch, seq, heads, headDim);
  return [heads, kvHeads, kvHeads, heads].map((n) =>
    Float32Array.from({ length: batch * seq * n * headDim }, () => 2 * random.normal())) as Four<Float32Array>;
}

/** The output and the gradients of q, k and v by the definition, in float64. */
function reference({ batch, seq, heads, kvHeads, headDim }: Shape, values: Float32Array[]): Float64Array[] {
  const [q, k, v, dOut] = values.map((each) => Float64Array.from(each)) as Four<Float64Array>;
  const [out, dq, dk, dv] = [q, q, k, v].map((like) => new Float64Array(like.length)) as Four<Float64Array>;
  const dot = (a: Float64Array, at: number, b: Float64Array, bt: number) => {
    let sum = 0;
    for (let c = 0; c < headDim; c++) sum += a[at + c]! * b[bt + c]!;
    return sum;
  };
  const add = (to: Float64Array, at: number, by: number, from: Float64Array, start: number) => {
    for (let c = 0; c < headDim; c++) to[at + c]! += by * from[start + c]!;
  };
  for (let index = 0; index < batch * seq * heads; index++) {
    const [head, row] = [index % heads, Math.floor(index / heads)];
    const position = row % seq;
    const own = index * headDim;
    const keyAt = (j: number) => ((row - position + j) * kvHeads + Math.floor(head * kvHeads / heads)) * headDim;
    const scores = Array.from({ length: position + 1 }, (_, j) => dot(q, own, k, keyAt(j)) / Math.sqrt(headDim));
    const most = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - most));
    const total = powers.reduce((a, b) => a + b, 0);
    powers.forEach((power, j) => add(out, own, power / total, v, keyAt(j)));
    const share = dot(dOut, own, out, own);
    powers.forEach((power, j) => {
      const p = power / total;
      const dScore = p * (dot(dOut, own, v, keyAt(j)) - share) / Math.sqrt(headDim);
      add(dv, keyAt(j), p, dOut, own);
      add(dq, own, dScore, k, keyAt(j));
      add(dk, keyAt(j), dScore, q, own);
    });
  }
  return [out, dq, dk, dv];
}

function tensors({ batch, seq, heads, kvHeads, headDim }: Shape, [q, k, v, dOut]: Four<Float32Array>) {
  const keys: Four<number> = [batch, seq, kvHeads, headDim];
  const rows = batch * seq;
  return [tf.tensor3d(q, [rows, heads, headDim]), tf.tensor4d(k, keys), tf.tensor4d(v, keys),
    tf.tensor2d(dOut, [rows, heads * headDim])] as const;
}

function ours(shape: Shape, values: Four<Float32Array>): Float32Array[] {
  return tf.tidy(() => {
    const [q, k, v, dOut] = tensors(shape, values);
    const { out, sums } = causalAttention(q, k, v);
    return [out, ...causalAttentionGradients(q, k, v, out, sums, dOut)].map((x) => x.dataSync<'float32'>().slice());
  });
}

// Native TensorFlow is there after `npm run setup:tensorflow` only, and has operations of ours unless it is Google's.
describe.runIf(hasTensorflow())(`causal attention by an operation of ours${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));

  it('is in the binding', () => expect(hasOurs()).toBe(true));

  it.each<Shape>([
    { batch: 1, seq: 1, heads: 2, kvHeads: 2, headDim: 8 },
    { batch: 3, seq: 7, heads: 6, kvHeads: 2, headDim: 16 },
    { batch: 2, seq: 33, heads: 3, kvHeads: 1, headDim: 24 },
    { batch: 2, seq: 64, heads: 4, kvHeads: 4, headDim: 80 },
    { batch: 1, seq: 300, heads: 3, kvHeads: 1, headDim: 64 },
    { batch: 2, seq: 129, heads: 20, kvHeads: 20, headDim: 8 },
    { batch: 1, seq: 70, heads: 2, kvHeads: 1, headDim: 128 },
  ])('equals the definition, values and gradients, the same to the last bit each time: %o', (shape) => {
    const values = given(shape);
    const before = tf.memory().numTensors;
    const found = ours(shape, values);
    reference(shape, values).forEach((expected, i) => expect(difference(expected, found[i]!)).toBeLessThan(5e-6));
    expect(ours(shape, values)).toEqual(found);
    expect(tf.memory().numTensors).toBe(before);
  });

  it('holds for scores so far apart that only the largest counts', () => {
    const shape = { batch: 1, seq: 80, heads: 1, kvHeads: 1, headDim: 8 };
    const [q, k, v, dOut] = given(shape);
    const values: Four<Float32Array> = [q.map((x) => 100 * x), k, v, dOut];
    const [[out, , , dv], [ourOut, , , ourDv]] = [reference(shape, values), ours(shape, values)];
    expect(difference(out!, ourOut!)).toBeLessThan(1e-4);
    expect(difference(dv!, ourDv!)).toBeLessThan(1e-4);
  });

  it('is what attention does, gradients too, and a part of graphs', () => {
    const shape = { batch: 2, seq: 70, heads: 4, kvHeads: 2, headDim: 16 };
    const values = given(shape);
    const [q, k, v, dOut] = tensors(shape, values);
    const place = causalPlacement({ ...tinyConfig, heads: 4, kvHeads: 2, headDim: 16 }, 2, 70);
    const f = (q: Tensor, k: Tensor, v: Tensor) => attention(q as Tensor3D, k as Tensor4D, v as Tensor4D, place);
    const graphs = new NativeGraphs();
    const expected = ours(shape, values);
    for (const _ of [1, 2]) {
      const found = graphs.run({ name: 'attention', member: 0, args: [q, k, v, dOut], seed: 0 }, () =>
        [f(q, k, v), ...tf.grads(f)([q, k, v], dOut)]);
      expect(found.map((x) => x.dataSync())).toEqual(expected);
      expect(found.map(({ shape }) => shape)).toEqual([dOut, q, k, v].map(({ shape }) => shape));
      tf.dispose(found);
    }
    expect(graphs.problems).toEqual(new Map());
    graphs.dispose();
    tf.dispose([q, k, v, dOut]);
  });
});
