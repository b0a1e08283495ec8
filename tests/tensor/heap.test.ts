import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { useBackend } from '../../src/tensor/backend.ts';
import { allocate, release } from '../../src/tensor/kernels/memory.ts';
import { userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend('wasm'));

it('a wasm heap that is full says so, and writes nothing over what it holds', async () => {
  const kept = tf.tensor1d([1, 2, 3]);
  const taken: number[] = [];
  const fill = () => {
    for (let i = 0; i < 5; i++) taken.push(allocate(2 ** 30)); // of address space: no page of it is touched
  };
  const message = userErrorOf(fill, '4 GiB');
  expect(message).toContain('--backend');
  expect(userErrorOf(() => tf.tensor(new Float32Array(2 ** 28)), '4 GiB')).toBe(message);
  taken.forEach(release);
  expect([...await kept.data()]).toEqual([1, 2, 3]);
  expect([...await kept.add(1).data()]).toEqual([2, 3, 4]);
  await useBackend('wasm'); // a second time changes nothing
  expect(userErrorOf(fill, '4 GiB')).toBe(message);
});
