import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { readTogether } from './webgpu/read.ts';

/** The values of float32 tensors, each in an array of its own. On a GPU all of them by one wait. */
export async function readAll(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  if (tf.getBackend() === 'webgpu') return readTogether(tensors);
  // The cpu backend gives the tensor's own array.
  return (await Promise.all(tensors.map((tensor) => tensor.data<'float32'>()))).map((values) => values.slice());
}
