import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UserError } from '../../errors.ts';
import { allocate, heap, kernelCode, kernels } from './memory.ts';

/** The kernels that `assembly/pool.ts` cuts into tasks, by their numbers there. */
export const [PRODUCT, ATTENTION, ATTENTION_GRADIENTS] = [0, 1, 2];

/** Bytes of the board that the threads share, of which the job's words come behind the first 64. */
const [BOARD, JOB] = [256, 64];
/** Bytes that each thread has for itself. */
export const SCRATCH = 36 * 1024;

interface Pool {
  readonly board: number;
  readonly scratch: number;
  readonly integers: Int32Array;
  readonly floats: Float32Array;
}

let pool: Pool | undefined;

/**
 * How many threads compute, the main one among them: as many as there are cores, or what WASM_THREADS says, for whoever
 * runs several processes side by side. What they compute does not depend on it.
 *
 * @throws UserError if it says something else
 */
export function threadCount(): number {
  const given = process.env.WASM_THREADS;
  if (!given) return availableParallelism();
  if (/^[1-9]\d?$/.test(given)) return Number(given);
  throw new UserError(`WASM_THREADS: se esperaba un número de hilos de 1 a 99, y vale «${given}»; corrígela o quítala.`);
}

/**
 * Does a job with all threads, and returns when it is done.
 *
 * @param words what the kernel is to know, as its class in the assembly lays it out
 * @param fraction a float32 that follows them
 */
export function runParallel(kernel: number, tasks: number, words: readonly number[], fraction = 0): void {
  pool ??= startPool();
  pool.integers.set(words);
  pool.floats[words.length] = fraction;
  kernels().run(pool.board, pool.scratch, kernel, tasks);
}

/** The threads live as long as the process, and do not keep it alive. */
function startPool(): Pool {
  const threads = threadCount();
  const board = aligned(BOARD + threads * SCRATCH);
  const { buffer } = heap();
  new Int32Array(buffer, board, BOARD / 4).fill(0);
  for (let thread = 1; thread < threads; thread++) {
    const workerData = { code: kernelCode(), memory: heap(), board, scratch: board + BOARD + thread * SCRATCH };
    new Worker(new URL('worker.js', import.meta.url), { workerData, execArgv: [] }).unref();
  }
  return {
    board, scratch: board + BOARD,
    integers: new Int32Array(buffer, board + JOB), floats: new Float32Array(buffer, board + JOB),
  };
}

function aligned(bytes: number): number {
  return Math.ceil(allocate(bytes + 64) / 64) * 64;
}
