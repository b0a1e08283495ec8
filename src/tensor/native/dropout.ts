import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { DropoutDraw } from '../kernels/dropout.ts';
import { execute, hasOurs, onGpu } from '../native.ts';

let found: boolean | undefined;

/** For tests: from now on by the operation or without it; undefined: as it should be. */
export function useDropout(operation: boolean | undefined): void {
  found = operation;
}

/** Whether there is one of ours (dropout.cc). */
export function hasDropout(): boolean {
  return found ?? (!onGpu() && hasOurs());
}

/** int32 (6): the states, the threshold, and the bits of the scale. */
export function drawTensor({ states, threshold, scale }: DropoutDraw): Tensor {
  const [bits] = new Int32Array(Float32Array.of(scale).buffer);
  return tf.tensor1d(Int32Array.of(...states, threshold, bits!), 'int32');
}

/** x times its dropout mask, without the mask. x: (rows, columns). */
export function dropout(x: Tensor, draw: Tensor): Tensor2D {
  return execute('Dropout', {}, [x, draw]) as Tensor2D;
}
