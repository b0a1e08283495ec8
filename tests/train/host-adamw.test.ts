import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Parameter } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { makeOptimizer } from '../../src/train/make-optimizer.ts';

beforeAll(() => useBackend('cpu'));

const parameters = () => [new Parameter('a', Float32Array.of(1, 2), [2]), new Parameter('b', Float32Array.of(3), [1])];

describe('an optimizer on the host', () => {
  it('sums the gradients of micro-batches, and adds the method\'s penalty once to them and to their norm', async () => {
    const heard: [step: number, gradients: number[][]][] = [];
    const optimizer = makeOptimizer(parameters(), {}, {
      penalty: () => [Float32Array.of(0, 4), Float32Array.of(0)],
      afterStep: (step, gradients) => heard.push([step, gradients.map((gradient) => [...gradient])]),
    });
    for (let micro = 0; micro < 2; micro++) await optimizer.add([tf.tensor1d([1, 0]), tf.tensor1d([2])]);
    expect(await optimizer.norm()).toBeCloseTo(Math.hypot(2, 4, 4), 6);
    optimizer.step(0.01, 0.5); // half of them, as clipping may: the method hears what the step took
    expect(heard).toEqual([[1, [[1, 2], [2]]]]);
    await optimizer.close();
  });

  it('goes back by one step, and says to which', async () => {
    const [moved, still] = [parameters(), parameters()];
    const optimizer = makeOptimizer(moved);
    expect(optimizer.undo()).toBe(0);
    const step = async () => {
      await optimizer.add([tf.tensor1d([1, -1]), tf.tensor1d([1])]);
      optimizer.step(0.1);
    };
    await step();
    const once = moved.map(({ values }) => values.slice());
    expect(once).not.toEqual(still.map(({ values }) => values));
    await step();
    expect(optimizer.undo()).toBe(1);
    expect(moved.map(({ values }) => values)).toEqual(once);
    await optimizer.close();
  });
});
