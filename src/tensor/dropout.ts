import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { Random } from '../random.ts';
import { outside } from './outside.ts';
import * as kernel from './kernels/dropout.ts';
import type { DropoutDraw } from './kernels/dropout.ts';
import { dropoutMask as kernelMask } from './kernels/mask.ts';
import { copied } from './native.ts';
import * as operation from './native/dropout.ts';
import * as webgpuKernel from './webgpu/dropout.ts';

/**
 * Inverted dropout (Srivastava et al., 2014): each element becomes 0 with probability `rate`, else x / (1 − rate).
 * What is dropped is a function of the pass's seed and the layer's path alone, so that a recomputed block drops what
 * its forward dropped.
 */
export function dropout(x: Tensor2D, rate: number, seed: number, path: string): Tensor2D {
  const amount = { threshold: Math.round(rate * 2 ** 32), scale: 1 / (1 - rate) };
  const states = (seed: number): DropoutDraw['states'] => {
    const random = new Random(Random.for(seed, path).uint32());
    const state = () => random.uint32() || 1; // zero would stay zero
    return [state(), state(), state(), state()];
  };
  const draw = (seed: number): DropoutDraw => ({ ...amount, states: states(seed) });
  const drop = {
    wasm: (x: Tensor) => kernel.dropout(x, draw(seed)),
    webgpu: (x: Tensor) => webgpuKernel.dropout(x, amount, states, seed),
  }[tf.getBackend()];
  if (drop) {
    return tf.customGrad((x) => ({ value: drop(x as Tensor), gradFunc: drop }))(x) as Tensor2D;
  }
  if (tf.getBackend() === 'tensorflow' && operation.hasDropout()) {
    const drawn = outside((seed) => operation.drawTensor(draw(seed)), seed);
    return tf.customGrad((x, save) => {
      (save as tf.GradSaveFunc)([drawn]);
      return {
        value: operation.dropout(x as Tensor, drawn),
        gradFunc: (dy: Tensor, [drawn]: Tensor[]) => operation.dropout(dy, drawn!),
      };
    })(x) as Tensor2D;
  }
  const { size, shape } = x;
  return x.mul(outside((seed) => (tf.getBackend() === 'tensorflow'
    ? copied(kernelMask(size, draw(seed)), shape, 'float32')
    : tf.tensor(dropoutMask(size, draw(seed)), shape)), seed));
}

/** 0 or `scale` for each of `size` elements, by four xorshift32 generators in turn (Marsaglia, 2003). */
function dropoutMask(size: number, { threshold, scale, states }: DropoutDraw): Float32Array {
  const mask = new Float32Array(size);
  const turn = Int32Array.from(states);
  for (let i = 0; i < size; i++) {
    let state = turn[i & 3]!;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    turn[i & 3] = state;
    if (state >>> 0 >= threshold) mask[i] = scale;
  }
  return mask;
}
