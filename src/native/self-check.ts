import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import { importTensorflow } from '../tensor/backend.ts';
import { startDawn } from '../tensor/webgpu/dawn.ts';
import type { DawnChecked } from './dawn.ts';
import type { Checked } from './setup.ts';

/**
 * A process of its own, since a library that does not fit the machine may end it: starts the backend given by the
 * library in the folder given, computes a product and a gradient that are known, and prints what it found as JSON.
 */
try {
  const [backend, folder] = process.argv.slice(2) as ['tensorflow' | 'webgpu', string];
  const found = backend === 'tensorflow' ? await tensorflow(folder) : await webgpu(folder);
  process.stdout.write(`${JSON.stringify(found)}\n`);
} catch (error) {
  process.stderr.write(`${(error as Error).message.split('\n')[0]}\n`);
  process.exitCode = 1;
}

async function tensorflow(folder: string): Promise<Checked> {
  await importTensorflow(folder);
  await tf.setBackend('tensorflow');
  checkProduct();
  const backend = tf.backend() as unknown as { binding: { TF_Version: string }; isUsingGpuDevice: boolean };
  return { version: backend.binding.TF_Version, device: backend.isUsingGpuDevice ? 'GPU' : 'CPU' };
}

/** A machine without a GPU is no fault of Dawn's. */
async function webgpu(folder: string): Promise<DawnChecked> {
  const adapter = await startDawn(folder).catch((error: unknown) => {
    if (error instanceof UserError) return null;
    throw error;
  });
  if (adapter !== null) {
    await tf.setBackend('webgpu');
    checkProduct();
  }
  return { adapter };
}

/** y = x · w and d(Σ y²)/dw = 2 xᵀ · y, against the same sums in JavaScript. */
function checkProduct(): void {
  const [rows, inner, columns] = [8, 32, 16];
  const random = new Random(1);
  const x = Float32Array.from({ length: rows * inner }, () => random.normal());
  const w = Float32Array.from({ length: inner * columns }, () => random.normal());
  const y = Array.from({ length: rows * columns }, (_, at) => sum(inner, (k) =>
    x[Math.floor(at / columns) * inner + k]! * w[k * columns + at % columns]!));
  const dw = Array.from({ length: inner * columns }, (_, at) => sum(rows, (row) =>
    2 * x[row * inner + Math.floor(at / columns)]! * y[row * columns + at % columns]!));
  const left = tf.tensor2d(x, [rows, inner]);
  const right = tf.tensor2d(w, [inner, columns]);
  expectEqual('un producto', tf.matMul(left, right).dataSync(), y);
  expectEqual('un gradiente', tf.grad((w) => tf.matMul(left, w as Tensor2D).square().sum())(right).dataSync(), dw);
}

function sum(count: number, of: (index: number) => number): number {
  return Array.from({ length: count }, (_, index) => of(index)).reduce((a, b) => a + b, 0);
}

function expectEqual(what: string, computed: ArrayLike<number>, expected: readonly number[]): void {
  const largest = Math.max(...expected.map((value, i) => Math.abs(computed[i]! - value)));
  const scale = Math.max(...expected.map(Math.abs));
  if (!(largest <= 1e-5 * scale)) throw new Error(`calcula mal ${what}`);
}
