import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';

/**
 * An operation with a gradient of its own. What the gradient's function makes on its way goes as it ends; by
 * TensorFlow.js's `customGrad` alone it would stay until the whole tape has been walked back.
 */
export function customGrad<T extends Tensor>(f: (...args: (Tensor | tf.GradSaveFunc)[]) => {
  value: T; gradFunc: (dy: T, saved: Tensor[]) => Tensor | Tensor[];
}): (...args: Tensor[]) => T {
  return tf.customGrad<T>((...args) => {
    const { value, gradFunc } = f(...args);
    return { value, gradFunc: (dy, saved) => tf.tidy(() => gradFunc(dy, saved)) };
  });
}
