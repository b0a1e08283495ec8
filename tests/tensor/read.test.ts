import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';

beforeAll(async () => {
  await useBackend(testBackend('wasm'));
});

describe('the values of what a function makes', () => {
  it('are its own, and nothing else is left', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const before = tf.memory().numTensors;
    const values = valuesOf(() => x.add(1).mul(2));
    expect([...values]).toEqual([4, 6, 8]);
    expect(tf.memory().numTensors).toBe(before);
    valuesOf(() => x).fill(0);
    expect([...x.dataSync()]).toEqual([1, 2, 3]);
    x.dispose();
  });

  it('may be more numbers than a set holds, as those of one matrix of a 7B are', () => {
    const bits = Uint32Array.from({ length: 2 ** 24 + 2 ** 16 }, (_, i) => 0x3000_0000 + i); // all different
    const numbers = new Float32Array(bits.buffer);
    expect(valuesOf(() => tf.tensor1d(numbers))).toHaveLength(bits.length);
  });
});
