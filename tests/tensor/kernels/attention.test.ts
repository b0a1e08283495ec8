import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LlamaConfig } from '../../../src/model/config.ts';
import { causalPlacement } from '../../../src/model/llama.ts';
import { Random } from '../../../src/random.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { attention, rotary } from '../../../src/tensor/ops.ts';
import { difference } from '../../difference.ts';
import { tinyConfig } from '../../tiny.ts';

interface Shape {
  batch: number;
  seq: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}

/** Rotation and attention, and the gradients of both, on the backend in use. */
function run({ batch, seq, heads, kvHeads, headDim }: Shape): Float32Array[] {
  return tf.tidy(() => {
    const random = Random.for(5, batch, seq, heads, headDim);
    const tensor = (...shape: number[]) =>
      tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * random.normal()), shape);
    const rows = batch * seq;
    const [q, k, v] = [tensor(rows, heads, headDim), tensor(rows, kvHeads, headDim), tensor(rows, kvHeads, headDim)];
    const dOut = tensor(rows, heads * headDim);
    const config: LlamaConfig = { ...tinyConfig, heads, kvHeads, headDim };
    const place = causalPlacement(config, batch, seq);
    const f = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) => attention(
      rotary(q as tf.Tensor3D, place.rotary),
      rotary(k as tf.Tensor3D, place.rotary).reshape([batch, seq, kvHeads, headDim]),
      v.reshape([batch, seq, kvHeads, headDim]),
      place,
    );
    const gradients = tf.grads(f)([q, k, v], dOut);
    return [f(q, k, v), ...gradients].map((x) => x.dataSync() as Float32Array);
  });
}

const shapes: Shape[] = [
  { batch: 2, seq: 7, heads: 4, kvHeads: 2, headDim: 8 },
  { batch: 3, seq: 13, heads: 6, kvHeads: 1, headDim: 16 },
  { batch: 1, seq: 1, heads: 2, kvHeads: 2, headDim: 24 },
  { batch: 4, seq: 60, heads: 8, kvHeads: 2, headDim: 32 },
  { batch: 1, seq: 300, heads: 3, kvHeads: 3, headDim: 64 },
];

describe('the WASM attention and rotation', () => {
  const expected = new Map<Shape, Float32Array[]>();
  beforeAll(async () => {
    await useBackend('cpu'); // where the plain TensorFlow.js reference runs
    for (const shape of shapes) expected.set(shape, run(shape));
    await useBackend('wasm');
  });

  it.each(shapes)('equal the reference, values and gradients: %o', (shape) => {
    const ours = run(shape);
    expected.get(shape)!.forEach((reference, i) => expect(difference(reference, ours[i]!)).toBeLessThan(5e-6));
  });

  it('leave no tensor behind', () => {
    const before = tf.memory().numTensors;
    run(shapes[0]!);
    expect(tf.memory().numTensors).toBe(before);
  });
});
