import { readFileSync } from 'node:fs';
import * as plain from './blockwise.ts';
import { CODEBOOKS } from './codebooks.ts';
import type { QuantType } from './codebooks.ts';

/** The exports of `assembly/blockwise.ts`. A pointer is a byte offset into the memory. */
interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** values, count, block size, packed, absmax, midpoints, nibbles. */
  readonly quantize: (...args: number[]) => number;
  /** bits, count, out. */
  readonly widen: (...args: number[]) => void;
  /** packed, count, block size, absmax, codes, out. */
  readonly dequantize: (...args: number[]) => void;
  readonly dequantizeToBfloat16: (...args: number[]) => void;
}

/** Values of a chunk: a multiple of every block size, of which wide and narrow together stay in a processor's cache. */
const CHUNK = 2 ** 16;
/** Where things lie in the memory. The scales are those of the smallest blocks. */
const [VALUES, PACKED, ABSMAX, TABLES] = [0, 4 * CHUNK, 4.5 * CHUNK, 4.625 * CHUNK];
/** The tables of a type: its values by bytes and as they are, its midpoints, and the nibbles between them. */
const [BY_BYTES, CODES, MIDPOINTS, NIBBLES, TABLE_BYTES] = [0, 64, 128, 192, 208];

let loaded: Kernels | undefined;

function kernels(): Kernels {
  if (loaded) return loaded;
  const module = new WebAssembly.Module(readFileSync(new URL('blockwise.wasm', import.meta.url)) as BufferSource);
  loaded = new WebAssembly.Instance(module).exports as unknown as Kernels;
  (['nf4', 'fp4', 'int4'] as const).forEach((type) => {
    const codes = Float32Array.from({ length: 16 }, (_, i) => CODEBOOKS[type][i] ?? 0);
    const bytes = new Uint8Array(codes.buffer);
    const { midpoints, nibbles } = plain.ranksOf(type);
    const write = (at: number, array: Uint8Array | Float32Array) => new Uint8Array(loaded!.memory.buffer)
      .set(new Uint8Array(array.buffer), tablesOf(type) + at);
    write(BY_BYTES, Uint8Array.from({ length: 64 }, (_, i) => bytes[(i & 15) * 4 + (i >> 4)]!));
    write(CODES, codes);
    write(MIDPOINTS, Float32Array.from({ length: 15 }, (_, i) => midpoints[i] ?? Infinity));
    write(NIBBLES, Uint8Array.from({ length: 16 }, (_, i) => nibbles[i] ?? 0));
  });
  return loaded;
}

const tablesOf = (type: QuantType): number => TABLES + TABLE_BYTES * { nf4: 0, fp4: 1, int4: 2 }[type];

/**
 * `quantizeBlocks` of ./blockwise.ts, by WASM SIMD as far as there are whole blocks.
 *
 * @param values numbers, or the bits of such of bfloat16: `[n]`
 * @throws NotFiniteError if a value is not finite
 */
export function quantizeBlocks(
  values: Float32Array | Uint16Array, blockSize: number, quantType: QuantType, packed: Uint8Array, absmax: Float32Array,
): void {
  const { memory, quantize, widen } = kernels();
  const tables = tablesOf(quantType);
  const done = inChunks(values.length, blockSize, (start, end) => {
    const some = values.subarray(start, end);
    if (some instanceof Float32Array) {
      new Float32Array(memory.buffer, VALUES, CHUNK).set(some);
    } else {
      new Uint16Array(memory.buffer, VALUES + 2 * CHUNK, CHUNK).set(some);
      widen(VALUES + 2 * CHUNK, end - start, VALUES);
    }
    const bad = quantize(
      VALUES, end - start, blockSize, PACKED, ABSMAX, tables + MIDPOINTS, tables + NIBBLES);
    if (bad >= 0) {
      const at = start + bad * blockSize;
      throw new plain.NotFiniteError(at, at + blockSize - 1);
    }
    packed.set(new Uint8Array(memory.buffer, PACKED, (end - start) / 2), start / 2);
    absmax.set(new Float32Array(memory.buffer, ABSMAX, (end - start) / blockSize), start / blockSize);
  });
  if (done === values.length) return;
  const rest = values.subarray(done);
  plain.quantizeBlocks(
    rest instanceof Float32Array ? rest : new Float32Array(Uint32Array.from(rest, (bits) => bits << 16).buffer),
    blockSize, quantType, packed.subarray(done / 2), absmax.subarray(done / blockSize));
}

/** `dequantizeBlocks` of ./blockwise.ts, by WASM SIMD as far as there are whole blocks. */
export function dequantizeBlocks(
  packed: Uint8Array, absmax: Float32Array, blockSize: number, quantType: QuantType, out: Float32Array,
): void {
  const { memory, dequantize } = kernels();
  const done = inChunks(out.length, blockSize, (start, end) => {
    bring(packed, absmax, blockSize, start, end);
    dequantize(PACKED, end - start, blockSize, ABSMAX, tablesOf(quantType) + BY_BYTES, VALUES);
    out.set(new Float32Array(memory.buffer, VALUES, end - start), start);
  });
  if (done === out.length) return;
  plain.dequantizeBlocks(
    packed.subarray(done / 2), absmax.subarray(done / blockSize), blockSize, quantType, out.subarray(done));
}

/** `dequantizeBlocksToBfloat16` of ./blockwise.ts, by WASM SIMD as far as there are whole blocks. */
export function dequantizeBlocksToBfloat16(
  packed: Uint8Array, absmax: Float32Array, blockSize: number, quantType: QuantType, out: Int32Array,
): void {
  const { memory, dequantizeToBfloat16 } = kernels();
  const done = inChunks(2 * out.length, blockSize, (start, end) => {
    bring(packed, absmax, blockSize, start, end);
    dequantizeToBfloat16(PACKED, end - start, blockSize, ABSMAX, tablesOf(quantType) + CODES, VALUES);
    out.set(new Int32Array(memory.buffer, VALUES, (end - start) / 2), start / 2);
  });
  if (done === 2 * out.length) return;
  plain.dequantizeBlocksToBfloat16(
    packed.subarray(done / 2), absmax.subarray(done / blockSize), blockSize, quantType, out.subarray(done / 2));
}

/** Whole blocks by chunks. @returns how many values they hold */
function inChunks(size: number, blockSize: number, take: (start: number, end: number) => void): number {
  const whole = size - size % blockSize;
  for (let start = 0; start < whole; start += CHUNK) take(start, Math.min(start + CHUNK, whole));
  return whole;
}

function bring(packed: Uint8Array, absmax: Float32Array, blockSize: number, start: number, end: number): void {
  const { buffer } = kernels().memory;
  new Uint8Array(buffer, PACKED, CHUNK / 2).set(packed.subarray(start / 2, end / 2));
  new Float32Array(buffer, ABSMAX, CHUNK / 32).set(absmax.subarray(start / blockSize, end / blockSize));
}
