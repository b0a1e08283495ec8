import type { Tensor, Tensor1D, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import { execute, executeAll } from '../native.ts';

// Operations of ours: rows.cc.

/**
 * RMSNorm, x · scale · weight, and scale, which is 1 / √(mean(x²) + ε) of each row: (rows, 1).
 *
 * @param x (rows, width), weight (width)
 */
export function rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number): { y: Tensor2D; scale: Tensor } {
  const [y, scale] = executeAll('RmsNorm', { epsilon: { float: epsilon } }, [x, weight], 2) as [Tensor2D, Tensor];
  return { y, scale };
}

/** Its gradient with respect to x: (rows, width). */
export function rmsNormGradient(x: Tensor2D, weight: Tensor1D, scale: Tensor, dy: Tensor): Tensor {
  return execute('RmsNormGradient', {}, [x, weight, scale, dy]);
}

/** silu(gate) · up, elementwise: (rows, width). */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return execute('Swiglu', {}, [gate, up]);
}

/** Its gradients with respect to gate and up. */
export function swigluGradients(gate: Tensor, up: Tensor, dy: Tensor): [Tensor, Tensor] {
  return executeAll('SwigluGradients', {}, [gate, up, dy], 2) as [Tensor, Tensor];
}

/**
 * Rotary embedding: x · cos + sign · rotate_half(x) · sin.
 *
 * @param x (rows, heads, headDim), headDim even
 * @param cos, sin (rows, 1, headDim)
 */
export function rotate(x: Tensor3D, cos: Tensor, sin: Tensor, sign: 1 | -1): Tensor3D {
  return execute('Rotate', { sign }, [x, cos, sin]) as Tensor3D;
}
