import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { generate } from '../../src/model/generate.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { testBackend } from '../backend.ts';
import { tinyBase } from '../tiny.ts';

beforeAll(() => useBackend(testBackend('cpu')));

describe('a generation', () => {
  it.each([2, 4])('whose pass fails at its block %i leaves no keys and values behind', async (failing) => {
    const model = tinyBase();
    const block = model.block.bind(model);
    let calls = 0;
    model.block = (...args) => {
      if (++calls === failing) throw new Error('the device is lost');
      return block(...args);
    };
    model.weights.forEach((weight) => weight.tensor()); // those that stay on the device
    const before = tf.memory().numTensors;
    await expect(generate(model, [[3, 4], [5]], { maxNewTokens: 4, eosIds: [] })).rejects.toThrow('lost');
    expect(tf.memory().numTensors).toBe(before);
  });
});
