import { kernels, layOut } from './memory.ts';

export interface AttentionShape {
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * Causal attention on the CPU, by WASM SIMD, without the score matrix (Rabe and Staats, 2021; Dao et al., 2022).
 *
 * @param q (batch, seq, heads, headDim)
 * @param k, v (batch, seq, kvHeads, headDim), of sequences padded on the right
 * @returns `out`, of q's shape, and `logSums` (batch, heads, seq), which the way back needs
 */
export function causalAttention(
  q: Float32Array, k: Float32Array, v: Float32Array, shape: AttentionShape,
): { out: Float32Array; logSums: Float32Array } {
  const { batch, seq, heads, kvHeads, headDim } = shape;
  const { pointers, read } = layOut([q, k, v, q.length, batch * heads * seq, seq + 3]);
  kernels().attention(...pointers, batch, seq, heads, kvHeads, headDim);
  return { out: read(3), logSums: read(4) };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  { q, k, v, out, logSums, dOut }: Record<'q' | 'k' | 'v' | 'out' | 'logSums' | 'dOut', Float32Array>, shape: AttentionShape,
): { dq: Float32Array; dk: Float32Array; dv: Float32Array } {
  const { batch, seq, heads, kvHeads, headDim } = shape;
  const zeros = new Float32Array(k.length);
  const { pointers, read } = layOut([q, k, v, out, logSums, dOut, q.length, zeros, zeros, seq + 3]);
  kernels().attentionGradients(...pointers, batch, seq, heads, kvHeads, headDim);
  return { dq: read(6), dk: read(7), dv: read(8) };
}

/**
 * Rotary embedding: x · cos + sign · rotate_half(x) · sin.
 *
 * @param x (rows, heads, headDim)
 * @param cos, sin (rows, headDim)
 */
export function rotate(
  x: Float32Array, cos: Float32Array, sin: Float32Array, sign: 1 | -1, heads: number, headDim: number,
): Float32Array {
  const { pointers: [xAt, cosAt, sinAt, outAt], read } = layOut([x, cos, sin, x.length]);
  kernels().rotate(xAt!, cosAt!, sinAt!, outAt!, sign, x.length / (heads * headDim), heads, headDim);
  return read(3);
}
