import { existsSync, readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { cast, execute, heldTensor, nodeBackend, reshape, types } from './native.ts';

/**
 * Mixed precision (Micikevicius et al., 2018) on native TensorFlow: matrices are multiplied in bfloat16, all the rest
 * stays in float32. TensorFlow.js has no such type, so these tensors never leave the functions here.
 */
let wanted = false;

/** From now on the linear layers multiply in 16 bits, where the backend can: see also `halfPrecision`. */
export function useMixedPrecision(on: boolean): void {
  wanted = on;
}

/** Whether 16 bits have been asked for, whatever the backend. */
export function wantsMixedPrecision(): boolean {
  return wanted;
}

/** Whether matrices are multiplied in bfloat16 now. */
export function mixedPrecision(): boolean {
  return wanted && tf.getBackend() === 'tensorflow';
}

const instructions = { amx_bf16: 'AMX', avx512_bf16: 'AVX-512' } as const;
export type Bfloat16Instruction = (typeof instructions)[keyof typeof instructions];

/** The instructions by which this processor multiplies in bfloat16; undefined where the system does not tell. */
export function bfloat16Instructions(): Bfloat16Instruction[] | undefined {
  return existsSync('/proc/cpuinfo') ? instructionsOf(readFileSync('/proc/cpuinfo', 'utf8')) : undefined;
}

/** From Linux's description of the processor. */
export function instructionsOf(cpuinfo: string): Bfloat16Instruction[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(' '));
  return Object.entries(instructions).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []));
}

/** Whether this processor multiplies in bfloat16 faster than in float32. */
export function hasBfloat16(): boolean {
  return (bfloat16Instructions() ?? []).length > 0;
}

/** Whether 16 bits are to be asked for on a backend: of WebGPU's the device then decides (see `halfPrecision`). */
export function gainsFrom16Bits(backend: string): boolean {
  return backend === 'webgpu' || hasBfloat16();
}

/**
 * a · b, either of them transposed first, each float32 or bfloat16 already, in float32: (n, k), (k, m) → (n, m).
 */
export function product(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor2D {
  // Not BatchMatMulV2, which tf.matMul becomes: on thin matrices it takes three times as long.
  const attributes = { T: 'bfloat16', transpose_a: transposeA, transpose_b: transposeB } as const;
  const narrow = execute('MatMul', attributes, [a, b]);
  const wide = cast(narrow, 'bfloat16', 'float32');
  narrow.dispose();
  return wide as Tensor2D;
}

/** The same numbers in bfloat16, or the same tensor if they are. */
export function toBfloat16(x: Tensor): Tensor {
  return isBfloat16(x) ? x : cast(x, 'float32', 'bfloat16');
}

/** The same numbers in float32, or the same tensor if they are. */
export function toFloat32(x: Tensor): Tensor {
  return isBfloat16(x) ? cast(x, 'bfloat16', 'float32') : x;
}

function isBfloat16(x: Tensor): boolean {
  return nodeBackend().tensorMap.get(x.dataId).dtype === types.bfloat16;
}

/** The bits of numbers that lose nothing in bfloat16, or undefined if they lose something. */
export function bfloat16Bits(values: Float32Array): Uint16Array | undefined {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (const word of words) if ((word & 0xffff) !== 0) return undefined;
  const bits = sharedMemory(values.length);
  words.forEach((word, i) => (bits[i] = word >>> 16));
  return bits;
}

/**
 * Memory for the bits of numbers of bfloat16. It may be resized, which it never is, because V8 begins such memory at a
 * page: what is aligned for its vectors TensorFlow shares, and any other it copies.
 */
export function sharedMemory(count: number): Uint16Array {
  return new Uint16Array(new ArrayBuffer(2 * count, { maxByteLength: 2 * count }), 0, count);
}

/** Numbers of bfloat16 by their bits, which are TensorFlow's from now on: (…). */
export function fromBits({ buffer, byteOffset, byteLength }: Uint16Array, shape: readonly number[]): Tensor {
  const backend = nodeBackend();
  const split = [...shape, 2];
  const id = backend.binding.createTensor(split, types.uint8, new Uint8Array(buffer, byteOffset, byteLength));
  const bytes = heldTensor(backend, types.uint8, split, id); // (…, 2)
  const numbers = execute('Bitcast', { T: 'uint8', type: 'bfloat16' }, [bytes]);
  bytes.dispose();
  return numbers;
}

/** Numbers of bfloat16 that came in pairs, as int32: (out, in / 2) → (out, in). Nothing is copied. */
export function unpack(pairs: Tensor2D): Tensor {
  const [out, half] = pairs.shape;
  const split = execute('Bitcast', { T: 'int32', type: 'bfloat16' }, [pairs]); // (out, in / 2, 2)
  return reshape(split, 'bfloat16', [out, 2 * half]);
}
