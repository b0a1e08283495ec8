import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { kernels, pointer, uninitialized } from './memory.ts';
import { ATTENTION, ATTENTION_GRADIENTS, runParallel, SCRATCH } from './pool.ts';

/** A row of scores has to fit in what each thread has for itself. */
export function fitsAttention(_headDim: number, queries: number): boolean {
  return queries <= SCRATCH / 4 - 3;
}

/**
 * Causal attention by WASM SIMD on all threads, without the score matrix (Rabe and Staats, 2021; Dao et al., 2022).
 *
 * @param q (batch·seq, heads, headDim)
 * @param k, v (batch, seq, kvHeads, headDim), of sequences padded on the right
 * @returns `out` (batch·seq, heads·headDim), and `sums` (batch, heads, seq, 2), which the way back needs
 */
export function causalAttention(q: Tensor3D, k: Tensor4D, v: Tensor4D): { out: Tensor2D; sums: Tensor4D } {
  const [rows, heads, headDim] = q.shape;
  const [batch, seq, kvHeads] = k.shape;
  const out = uninitialized<Tensor2D>([rows, heads * headDim]);
  const sums = uninitialized<Tensor4D>([batch, heads, seq, 2]);
  runParallel(ATTENTION, batch * heads, [seq, heads, kvHeads, headDim, ...[q, k, v, out, sums].map(pointer)]);
  return { out, sums };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor4D, dOut: Tensor2D,
): [Tensor, Tensor, Tensor] {
  const [, heads, headDim] = q.shape;
  const [batch, seq, kvHeads] = k.shape;
  const [dq, dk, dv] = [uninitialized(q.shape), uninitialized(k.shape), uninitialized(v.shape)];
  const tensors = [q, k, v, out, sums, dOut, dq, dk, dv];
  runParallel(ATTENTION_GRADIENTS, batch * kvHeads, [seq, heads, kvHeads, headDim, ...tensors.map(pointer)]);
  return [dq, dk, dv];
}

/**
 * Rotary embedding: x · cos + sign · rotate_half(x) · sin.
 *
 * @param x (rows, heads, headDim)
 * @param cos, sin (rows, 1, headDim)
 */
export function rotate(x: Tensor3D, cos: Tensor, sin: Tensor, sign: 1 | -1): Tensor3D {
  const [rows, heads, headDim] = x.shape;
  const out = uninitialized<Tensor3D>(x.shape);
  kernels().rotate(...[x, cos, sin, out].map(pointer), sign, rows, heads, headDim);
  return out;
}
