import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { bfloat16Instructions } from '../tensor/bfloat16.ts';
import type { Bfloat16Instruction } from '../tensor/bfloat16.ts';

/** What this machine computes with. */
export interface Machine {
  readonly processor: string;
  /** Threads that a library may start. */
  readonly threads: number;
  /** Of the instructions that make 16-bit products fast; undefined where the system does not tell. */
  readonly bf16: readonly Bfloat16Instruction[] | undefined;
  readonly memoryBytes: number;
  readonly freeBytes: number;
  /** Of WebAssembly in this Node. */
  readonly wasm: { readonly simd: boolean; readonly relaxedSimd: boolean };
}

export function readMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'procesador desconocido',
    threads: availableParallelism(),
    bf16: bfloat16Instructions(),
    memoryBytes: totalmem(),
    freeBytes: existsSync('/proc/meminfo') ? availableOf(readFileSync('/proc/meminfo', 'utf8')) : freemem(),
    wasm: { simd: validates(simdProgram), relaxedSimd: validates(relaxedProgram) },
  };
}

/** What may still be had without swapping, in bytes: what caches hold is given up when asked for. */
export function availableOf(meminfo: string): number {
  return Number(/^MemAvailable:\s*(\d+) kB$/m.exec(meminfo)?.[1] ?? NaN) * 1024;
}

const validates = (program: readonly number[]) => WebAssembly.validate(Uint8Array.from(program));
const module = [0, 97, 115, 109, 1, 0, 0, 0]; // magic and version
const returnsVector = [1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0]; // one function: () → v128
const zero = [65, 0, 253, 15]; // i32.const 0, i8x16.splat
/** A function that gives a vector: fixed-width SIMD. */
const simdProgram = [...module, ...returnsVector, 10, 8, 1, 6, 0, ...zero, 11];
/** The same by f32x4.relaxed_madd, a multiply and add in one rounding. */
const relaxedProgram = [...module, ...returnsVector, 10, 19, 1, 17, 0, ...zero, ...zero, ...zero, 253, 133, 2, 11];
