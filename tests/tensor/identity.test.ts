import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { useBackend } from '../../src/tensor/backend.ts';

beforeAll(() => useBackend('wasm'));

describe('a clone on wasm', () => {
  it('shares its original’s memory, and outlives it', () => {
    const original = tf.tensor1d([1, 2, 3]);
    const { numDataBuffers } = tf.memory();
    const clone = original.clone();
    expect(tf.memory().numDataBuffers).toBe(numDataBuffers);
    original.dispose();
    expect([...clone.dataSync()]).toEqual([1, 2, 3]);
    clone.dispose();
    expect(tf.memory().numDataBuffers).toBe(numDataBuffers - 1);
  });

  it('is what a gradient keeps: one buffer for what several operations save', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const { numDataBuffers } = tf.memory();
    tf.grad((x) => {
      const doubled = x.mul(2);
      const y = doubled.square().add(doubled);
      expect(tf.memory().numDataBuffers - numDataBuffers).toBe(4); // the factor, doubled, its square, the sum
      return y.sum();
    })(x).dispose();
    x.dispose();
  });
});
