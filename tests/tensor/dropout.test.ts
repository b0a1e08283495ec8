import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dropout } from '../../src/tensor/dropout.ts';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { hasDropout, useDropout } from '../../src/tensor/native/dropout.ts';
import { noLibrary, testBackend, testBackends } from '../backend.ts';

const rows = 101;
const width = 37; // no whole number of vectors

const dropped = (rate: number, seed: number) =>
  tf.tidy(() => dropout(tf.ones([rows, width]), rate, seed, 'q_proj').dataSync<'float32'>());

describe.each(testBackends('cpu', 'wasm'))('dropout on %s', (backend) => {
  it('drops its share and scales the rest, so that the mean stays', async () => {
    await useBackend(backend);
    const values = dropped(0.25, 7);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    const zeros = values.filter((value) => value === 0).length / values.length;
    expect(zeros).toBeGreaterThan(0.22);
    expect(zeros).toBeLessThan(0.28);
  });

  it('is a function of its seed', async () => {
    await useBackend(backend);
    expect(dropped(0.25, 7)).toEqual(dropped(0.25, 7));
    expect(dropped(0.25, 7)).not.toEqual(dropped(0.25, 8));
  });

  it('is another one in another layer', async () => {
    await useBackend(backend);
    const other = tf.tidy(() => dropout(tf.ones([rows, width]), 0.25, 7, 'k_proj').dataSync());
    expect(other).not.toEqual(dropped(0.25, 7));
  });

  it('passes the gradient where it passed the value', async () => {
    await useBackend(backend);
    const gradient = tf.grad((x) => dropout(x as tf.Tensor2D, 0.25, 7, 'q_proj').sum())(tf.ones([rows, width])).dataSync();
    expect(gradient).toEqual(dropped(0.25, 7));
  });
});

it('drops the same on every backend', async () => {
  await useBackend('cpu');
  const reference = dropped(0.05, 3);
  await useBackend(testBackend('wasm'));
  expect(dropped(0.05, 3)).toEqual(reference);
});

// Native TensorFlow is there after `npm run setup:tensorflow` only, and an operation of ours with it.
describe.runIf(hasTensorflow())(`on native TensorFlow${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));
  afterEach(() => useDropout(undefined));

  it.each([true, false])('drops the same, by an operation or by a mask that a kernel makes (%s)', async (operation) => {
    await useBackend('cpu');
    const reference = dropped(0.05, 3);
    await useBackend('tensorflow');
    if (operation && !hasDropout()) return;
    useDropout(operation);
    expect(dropped(0.05, 3)).toEqual(reference);
    expect(tf.tidy(() => [...dropout(tf.ones([500, 400]), 0.05, 3, 'q_proj').dataSync()]).slice(0, reference.length))
      .toEqual([...reference]);
  });

  it('gives the same bits either way, of values and of gradients, negative zeros too', () => {
    if (!hasDropout()) return;
    const x = tf.randomNormal<tf.Rank.R2>([rows, width]);
    const both = () => tf.tidy(() => {
      const f = (x: tf.Tensor) => dropout(x as tf.Tensor2D, 0.25, 7, 'q_proj');
      const { value, grad } = tf.valueAndGrad((x) => f(x).mul(x).sum())(x);
      return [f(x), value, grad].map((found) => [...found.dataSync()]);
    });
    useDropout(false);
    const masked = both();
    useDropout(true);
    expect(both()).toEqual(masked);
    x.dispose();
  });
});
