import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UserError } from '../../../src/errors.ts';
import { threadCount } from '../../../src/tensor/kernels/pool.ts';

afterEach(() => void vi.unstubAllEnvs());

describe('the threads of the wasm backend', () => {
  it('are as many as there are cores, or as WASM_THREADS says', () => {
    vi.stubEnv('WASM_THREADS', '');
    expect(threadCount()).toBe(availableParallelism());
    vi.stubEnv('WASM_THREADS', '3');
    expect(threadCount()).toBe(3);
  });

  it.each(['0', '-1', '1.5', 'dos', '1000'])('are not %s', (given) => {
    vi.stubEnv('WASM_THREADS', given);
    expect(threadCount).toThrow(UserError);
    expect(threadCount).toThrow(`WASM_THREADS: se esperaba un número de hilos de 1 a 99, y vale «${given}»`);
  });

  it('compute the same to the bit, however many they are, and end with their process', async () => {
    const outputs = await Promise.all([1, 2, 5].map(async (threads) => {
      const env = { ...process.env, WASM_THREADS: String(threads) };
      const args = ['--import', './src/start.js', 'tests/tensor/kernels/threads.ts'];
      return (await promisify(execFile)(process.execPath, args, { env })).stdout;
    }));
    expect(outputs[0]).toMatch(/^[0-9a-f]{64}\n$/);
    expect(new Set(outputs).size).toBe(1);
  }, 60_000);
});
