import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { CODEBOOKS, DYNAMIC_MAP } from '../../quant/codebooks.ts';
import type { QuantType } from '../../quant/codebooks.ts';
import { byteLength } from '../../quant/quantize.ts';
import type { QuantizedTensor } from '../../quant/quantize.ts';
import { allocate, heap, pointer, release, uninitialized } from './memory.ts';
import { PRODUCT, runParallel } from './pool.ts';

/** a · b of two matrices, either of them transposed first, by WASM SIMD on all threads. */
export function matmul(a: Tensor2D, b: Tensor2D, { transposeA = false, transposeB = false } = {}): Tensor2D {
  const [rows, depth] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const columns = transposeB ? b.shape[0] : b.shape[1];
  const [aRow, aStep] = transposeA ? [4, 4 * rows] : [4 * depth, 4];
  const [bStep, bColumn] = transposeB ? [4, 4 * depth] : [4 * columns, 4];
  const y = uninitialized<Tensor2D>([rows, columns]);
  const { taskRows, taskColumns, tasks } = cut(rows, columns, 16);
  runParallel(PRODUCT, tasks, [
    pointer(y), pointer(a), aRow, aStep, rows, columns, depth, taskRows, taskColumns, pointer(b), bStep, bColumn, 0,
  ]);
  return y;
}

/** Tasks of all rows and 32 columns; fewer of each where the threads would have too few of them. */
function cut(rows: number, columns: number, fewest: 16 | 32): { taskRows: number; taskColumns: number; tasks: number } {
  const taskColumns = columns > 128 ? 32 : fewest;
  const across = Math.ceil(columns / taskColumns);
  const down = Math.ceil(ENOUGH / across);
  const taskRows = Math.max(LEAST_ROWS, Math.ceil(rows / down / 6) * 6);
  return { taskRows, taskColumns, tasks: across * Math.ceil(rows / taskRows) };
}

const ENOUGH = 8;
const LEAST_ROWS = 48; // or too much of a task is bringing b into its form

/** A 4-bit matrix in the backend's memory. */
export class HeldMatrix {
  /** The tensor that it was made from, with its bytes where the kernels read them. */
  readonly quantized: QuantizedTensor;
  private readonly memory: number;
  /** What the kernel is to know of it, the strides apart. */
  private readonly absmaxWords: readonly number[];

  constructor(quantized: QuantizedTensor) {
    const { packed, absmax, blockSize } = quantized;
    this.memory = allocate(byteLength(quantized) + 64);
    let at = this.memory;
    const moved = <T extends Uint8Array | Float32Array>(array: T): T => {
      const Type = array.constructor as new (buffer: ArrayBufferLike, at: number, length: number) => T;
      const there = new Type(heap().buffer, at, array.length);
      there.set(array);
      at += Math.ceil(array.byteLength / 16) * 16;
      return there;
    };
    const shift = Math.log2(blockSize);
    if (absmax instanceof Float32Array) {
      this.quantized = { ...quantized, absmax: moved(absmax), packed: moved(packed) };
    } else {
      this.quantized = {
        ...quantized,
        absmax: { ...absmax, nestedAbsmax: moved(absmax.nestedAbsmax), codes: moved(absmax.codes) },
        packed: moved(packed),
      };
    }
    const { absmax: there } = this.quantized;
    this.absmaxWords = there instanceof Float32Array
      ? [shift, there.byteOffset, 0, 0]
      : [shift, there.codes.byteOffset, mapInMemory(), there.nestedAbsmax.byteOffset];
  }

  /** x · Wᵀ, or without `transpose` x · W. x: (rows, in or out). */
  product(x: Tensor, transpose: boolean): Tensor2D {
    const { shape, packed, quantType, absmax } = this.quantized;
    const [out, input] = shape as [number, number];
    const rows = x.shape[0]!;
    const [columns, depth] = transpose ? [out, input] : [input, out];
    const [bStep, bColumn] = transpose ? [1, input] : [input, 1];
    const y = uninitialized<Tensor2D>([rows, columns]);
    const { taskRows, taskColumns, tasks } = cut(rows, columns, transpose ? 16 : 32);
    runParallel(PRODUCT, tasks, [
      pointer(y), pointer(x), 4 * depth, 4, rows, columns, depth, taskRows, taskColumns,
      packed.byteOffset, bStep, bColumn, codesInMemory(quantType), ...this.absmaxWords,
    ], absmax instanceof Float32Array ? 0 : absmax.offset);
    return y;
  }

  dispose(): void {
    release(this.memory);
  }
}

/** Whether the kernel takes it: a matrix in whose rows no block begins before another row ends. */
export function isFusable({ shape, blockSize, absmax }: QuantizedTensor): boolean {
  return shape.length === 2 && shape[1]! % blockSize === 0
    && (absmax instanceof Float32Array || absmax.blockSize === 256);
}

const codes = new Map<QuantType, number>();

/** The sixteen values of a type: all their first bytes, then all the second ones, and so on. */
function codesInMemory(quantType: QuantType): number {
  let there = codes.get(quantType);
  if (there === undefined) {
    there = allocate(64);
    const values = new Uint8Array(Float32Array.from({ length: 16 }, (_, i) => CODEBOOKS[quantType][i] ?? 0).buffer);
    const byBytes = Array.from({ length: 64 }, (_, i) => values[(i & 15) * 4 + (i >> 4)]!);
    new Uint8Array(heap().buffer, there, 64).set(byBytes);
    codes.set(quantType, there);
  }
  return there;
}

let dynamicMap: number | undefined;

function mapInMemory(): number {
  if (dynamicMap === undefined) {
    dynamicMap = allocate(DYNAMIC_MAP.byteLength);
    new Float32Array(heap().buffer, dynamicMap, DYNAMIC_MAP.length).set(DYNAMIC_MAP);
  }
  return dynamicMap;
}
