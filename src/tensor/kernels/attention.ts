import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { kernels, pointer, uninitialized, withScratch } from './memory.ts';

/**
 * Causal attention by WASM SIMD, without the score matrix (Rabe and Staats, 2021; Dao et al., 2022).
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
  withScratch(seq + 3, (row) => {
    kernels().attention(...[q, k, v, out, sums].map(pointer), row, batch, seq, heads, kvHeads, headDim);
  });
  return { out, sums };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor4D, dOut: Tensor2D,
): [Tensor, Tensor, Tensor] {
  const [, heads, headDim] = q.shape;
  const [batch, seq, kvHeads] = k.shape;
  const [dq, dk, dv] = [uninitialized(q.shape), uninitialized(k.shape), uninitialized(v.shape)];
  withScratch(seq + 3, (row) => {
    kernels().attentionGradients(
      ...[q, k, v, out, sums, dOut, dq, dk, dv].map(pointer), row, batch, seq, heads, kvHeads, headDim,
    );
  });
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
