import { existsSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../src/errors.ts';

// Jobs for the pool's own tests.

export async function square({ x, milliseconds = 0, file }: { x: number; milliseconds?: number; file?: string }) {
  if (file) writeFileSync(file, String(process.pid), { flag: 'a' });
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return tf.tidy(() => ({ square: tf.scalar(x).square().dataSync()[0]!, pid: process.pid, backend: `${tf.getBackend()} ${process.env.WASM_THREADS}` }));
}

export const mistake = () => { throw new UserError('Falta el archivo: escríbelo.'); };
/** Once a file is there. */
export async function mistakeOnce({ file }: { file: string }) {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
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
