import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { useBackend } from '../../src/tensor/backend.ts';
import { TensorMemory } from '../../src/tensor/memory.ts';
import { testBackend } from '../backend.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const kib = () => tf.zeros([256]); // float32

describe('the memory of tensors', () => {
  it('knows what is alive, and the most that ever was', () => {
    const memory = new TensorMemory();
    const before = memory.current;
    const kept = kib();
    expect(memory.current - before).toBe(1024);
    tf.dispose([kib(), kib()]);
    expect(memory.current - before).toBe(1024);
    expect(memory.peak - before).toBe(3 * 1024);
    kept.dispose();
    expect(memory.current).toBe(before);
    memory.close();
  });

  it('sees a peak inside a tidy and inside a gradient', () => {
    const memory = new TensorMemory();
    const before = memory.current;
    tf.tidy(() => { for (let i = 0; i < 10; i++) kib(); });
    expect(memory.peak - before).toBe(10 * 1024);
    memory.resetPeak();
    tf.tidy(() => tf.grad((x) => x.square().exp().sum())(kib())).dispose();
    expect(memory.current).toBe(before);
    expect(memory.peak - before).toBeGreaterThanOrEqual(3 * 1024);
    memory.close();
  });

  it('forgets a peak when asked to', () => {
    const memory = new TensorMemory();
    kib().dispose();
    memory.resetPeak();
    expect(memory.peak).toBe(memory.current);
    memory.close();
  });

  it('counts once what several tensors share', () => {
    const memory = new TensorMemory();
    const before = memory.current;
    const kept = kib();
    // Native TensorFlow reshapes by an operation, whose result may be a copy for all that is told here.
    const views = [kept.clone(), tf.getBackend() === 'tensorflow' ? kept.clone() : kept.reshape([16, 16])];
    expect(memory.current - before).toBe(1024);
    kept.dispose();
    expect(memory.current - before).toBe(1024);
    tf.dispose(views);
    expect(memory.current).toBe(before);
    memory.close();
  });

  it('counts on when another that counts at once is closed', () => {
    const [first, second] = [new TensorMemory(), new TensorMemory()];
    const before = second.current;
    kib().dispose();
    expect([first.peak - before, second.peak - before]).toEqual([1024, 1024]);
    first.close();
    first.close(); // it has no part any more
    const kept = kib();
    expect(first.current).toBe(before);
    expect(second.current - before).toBe(1024);
    kept.dispose();
    second.close();
    expect(Object.keys(tf.engine().state.tensorInfo)).toEqual([]);
  });

  it('leaves the engine as it was', () => {
    const { numBytes } = tf.memory();
    const memory = new TensorMemory();
    const kept = kib();
    memory.close();
    expect(memory.current).toBe(numBytes + 1024);
    kept.dispose();
    expect(memory.current).toBe(numBytes + 1024); // it counts no more
    expect(tf.memory().numBytes).toBe(numBytes);
    expect(Object.keys(tf.engine().state.tensorInfo)).toEqual([]);
  });
});
