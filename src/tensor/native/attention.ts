import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { executeAll } from '../native.ts';

/** There is no sequence or head that the kernel would not take. */
export function fitsAttention(): boolean {
  return true;
}

/**
 * Causal attention without the score matrix, by an operation of ours (attention.cc).
 *
 * @param q (batch·seq, heads, headDim), headDim a multiple of 8
 * @param k, v (batch, seq, kvHeads, headDim), of sequences padded on the right
 * @returns `out` (batch·seq, heads·headDim), and `sums` (batch·seq, heads), which the way back needs
 */
export function causalAttention(q: Tensor3D, k: Tensor4D, v: Tensor4D): { out: Tensor2D; sums: Tensor2D } {
  const [out, sums] = executeAll('CausalAttention', {}, [q, k, v], 2) as [Tensor2D, Tensor2D];
  return { out, sums };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor2D, dOut: Tensor2D,
): [Tensor, Tensor, Tensor] {
  return executeAll('CausalAttentionGradients', {}, [q, k, v, out, sums, dOut], 3) as [Tensor, Tensor, Tensor];
}
