import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { readTogether } from './webgpu/read.ts';

/**
 * The values of the float32 tensor that `f` makes, in an array of their own; what it makes is freed. `tf.tidy` is not
 * given them back: it would look for tensors among the numbers, one by one, and keep each in a set, which ends at 2²⁴.
 */
export function valuesOf(f: () => Tensor): Float32Array {
  let values!: Float32Array;
  tf.tidy(() => {
    values = f().dataSync<'float32'>().slice();
  });
  return values;
}

/** The values of float32 tensors, each in an array of its own. On a GPU all of them by one wait. */
export async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  if (tf.getBackend() === 'webgpu') return readTogether(tensors);
  const read = await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()));
  // Of what was computed the cpu backend gives the tensor's own array; the others have just made one.
  return tf.getBackend() === 'cpu' ? read.map((values) => values.slice()) : read;
}
