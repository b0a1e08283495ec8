import * as tf from '@tensorflow/tfjs';
import { Random } from '../random.ts';

/**
 * An inverted-dropout mask: 0 with probability `rate`, else 1 / (1 − rate).
 * It is a function of its seed alone, so that a recomputed block drops what its forward dropped.
 */
export function dropoutMask(shape: [number, number], rate: number, seed: number): tf.Tensor2D {
  const mask = new Float32Array(shape[0] * shape[1]);
  const kept = 1 / (1 - rate);
  const threshold = Math.round(rate * 65536);
  // xorshift32, 16 bits an element: a mask is made for every linear layer of every pass.
  let state = new Random(seed).uint32() || 1;
  for (let i = 0; i < mask.length; i += 2) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    if ((state & 0xffff) >= threshold) mask[i] = kept;
    if (state >>> 16 >= threshold && i + 1 < mask.length) mask[i + 1] = kept;
  }
  return tf.tensor2d(mask, shape);
}
