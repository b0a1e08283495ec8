import { readFileSync } from 'node:fs';

/** The exports of `assembly/attention.ts`. A pointer is a byte offset into the memory. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  base(): number;
  forward(...args: number[]): void;
  backward(...args: number[]): void;
  rotate(...args: number[]): void;
}

export interface AttentionShape {
  readonly batch: number;
  readonly seq: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

let loaded: Exports | undefined;

function kernel(): Exports {
  const file = new URL('attention.wasm', import.meta.url);
  loaded ??= new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file))).exports as unknown as Exports;
  return loaded;
}

/** Lays arrays out one after another in the kernel's memory; a number stands for so many floats of room. */
function layOut(arrays: readonly (Float32Array | number)[]): { pointers: number[]; read(index: number): Float32Array } {
  const { memory, base } = kernel();
  let end = Math.ceil(base() / 16) * 16;
  const lengths = arrays.map((array) => (typeof array === 'number' ? array : array.length));
  const pointers = lengths.map((length) => {
    const pointer = end;
    end += Math.ceil(length / 4) * 16; // whole vectors
    return pointer;
  });
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / 65536));
  arrays.forEach((array, i) => {
    if (typeof array !== 'number') new Float32Array(memory.buffer, pointers[i], array.length).set(array);
  });
  return { pointers, read: (index) => new Float32Array(memory.buffer, pointers[index], lengths[index]).slice() };
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
  kernel().forward(...pointers, batch, seq, heads, kvHeads, headDim);
  return { out: read(3), logSums: read(4) };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  { q, k, v, out, logSums, dOut }: Record<'q' | 'k' | 'v' | 'out' | 'logSums' | 'dOut', Float32Array>, shape: AttentionShape,
): { dq: Float32Array; dk: Float32Array; dv: Float32Array } {
  const { batch, seq, heads, kvHeads, headDim } = shape;
  const zeros = new Float32Array(k.length);
  const { pointers, read } = layOut([q, k, v, out, logSums, dOut, q.length, zeros, zeros, seq + 3]);
  kernel().backward(...pointers, batch, seq, heads, kvHeads, headDim);
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
  kernel().rotate(xAt!, cosAt!, sinAt!, outAt!, sign, x.length / (heads * headDim), heads, headDim);
  return read(3);
}
