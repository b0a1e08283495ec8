import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { useBackend } from '../../src/tensor/backend.ts';
import { linear } from '../../src/tensor/linear.ts';
import { crossEntropy, headCrossEntropy } from '../../src/tensor/ops.ts';
import { FrozenMatrix } from '../../src/tensor/frozen.ts';
import { testBackends } from '../backend.ts';

describe.each(testBackends('wasm'))('the loss of a frozen head, some of the vocabulary at a time, on %s', (backend) => {
  it.each([
    ['in one piece', 40, 50, false],
    ['in pieces, the last one shorter', 200, 30_000, false],
    ['of a matrix that bfloat16 holds', 40, 30_000, true],
  ])('is that of the whole logits, and so is its gradient: %s', async (_, rows, vocab, narrow) => {
    await useBackend(backend);
    const x = tf.randomNormal<tf.Rank.R2>([rows, 4], 0, 2, 'float32', 1);
    const values = tf.randomNormal([vocab, 4], 0, 1, 'float32', 2).dataSync<'float32'>().slice();
    if (narrow) new Uint32Array(values.buffer).forEach((bits, i, all) => (all[i] = bits & 0xffff0000));
    const w = tf.tensor2d(values, [vocab, 4]);
    const head = new FrozenMatrix(values, [vocab, 4]);
    if (backend === 'tensorflow') expect(head.bytes).toBe((narrow ? 2 : 4) * values.length);
    const labels = tf.tensor1d(Array.from({ length: rows }, (_, row) => row * 7 % vocab), 'int32');
    const whole = tf.valueAndGrad((x) => crossEntropy(linear(x as Tensor2D, w, false), labels, 0.1))(x);
    const parts = tf.valueAndGrad((x) => headCrossEntropy(x as Tensor2D, head, labels, 0.1))(x);
    expect(parts.value.dataSync()[0]! / whole.value.dataSync()[0]!).toBeCloseTo(1, 5);
    const largest = whole.grad.abs().max();
    expect(parts.grad.sub(whole.grad).abs().max().div(largest).dataSync()[0]).toBeLessThan(2e-4);
  });
});
