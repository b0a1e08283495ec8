import { existsSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../src/errors.ts';

// Jobs for the pool's own tests.

interface SquareOptions {
  readonly x: number;
  /** To take at least. */
  readonly milliseconds?: number;
  /** Is told its pid. */
  readonly file?: string;
  /** A file to wait for. */
  readonly until?: string;
}

export async function square({ x, milliseconds = 0, file, until }: SquareOptions) {
  if (file) writeFileSync(file, String(process.pid), { flag: 'a' });
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  if (until) await fileAt(until);
  return tf.tidy(() => ({ square: tf.scalar(x).square().dataSync()[0]!, pid: process.pid, backend: `${tf.getBackend()} ${process.env.WASM_THREADS}` }));
}

async function fileAt(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
}

export const mistake = () => { throw new UserError('Falta el archivo: escríbelo.'); };
/** Once a file is there. */
export async function mistakeOnce({ file }: { file: string }) {
  await fileAt(file);
  mistake();
}
export const bug = () => { throw new TypeError('x is not a function'); };
export const death = () => process.kill(process.pid, 'SIGKILL');
export const nothing = () => undefined;
/** Tells its pid, and never gives its thread back. */
export function endless({ file }: { file: string }) {
  writeFileSync(file, String(process.pid));
  for (;;);
}
