import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { dequantize, quantize } from '../quant/quantize.ts';
import { Random } from '../random.ts';
import { importTensorflow } from '../tensor/backend.ts';
import { useMixedPrecision } from '../tensor/bfloat16.ts';
import { QuantizedMatrix } from '../tensor/quantized.ts';
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
    checkKernels('', 1e-4);
    useMixedPrecision(true); // by float16 and matrix units, where the device has them
    checkKernels(' en float16: instala un controlador más nuevo', 1e-2);
  }
  return { adapter };
}

/** Our own kernels, as large as those that go by matrix units: a product by a 4-bit matrix, and back to its input. */
function checkKernels(how: string, bar: number): void {
  const [rows, inner, columns] = [40, 128, 96];
  const random = new Random(2);
  const normal = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const packed = quantize(normal(columns * inner), [columns, inner]);
  const [x, dy, w] = [normal(rows * inner), normal(rows * columns), dequantize(packed)];
  const y = sums(rows, columns, inner, (row, column, k) => x[row * inner + k]! * w[column * inner + k]!);
  const dx = sums(rows, inner, columns, (row, column, k) => dy[row * columns + k]! * w[k * inner + column]!);
  const matrix = new QuantizedMatrix(packed);
  const { value, grad } = tf.valueAndGrad((x) => matrix.linear(x as Tensor2D))(
    tf.tensor2d(x, [rows, inner]), tf.tensor2d(dy, [rows, columns]));
  expectEqual(`un producto desde los 4 bits${how}`, value.dataSync(), y, bar);
  expectEqual(`un gradiente desde los 4 bits${how}`, grad.dataSync(), dx, bar);
  matrix.dispose();
}

/** y = x · w and d(Σ y²)/dw = 2 xᵀ · y, against the same sums in JavaScript. */
function checkProduct(): void {
  const [rows, inner, columns] = [8, 32, 16];
  const random = new Random(1);
  const x = Float32Array.from({ length: rows * inner }, () => random.normal());
  const w = Float32Array.from({ length: inner * columns }, () => random.normal());
  const y = sums(rows, columns, inner, (row, column, k) => x[row * inner + k]! * w[k * columns + column]!);
  const dw = sums(inner, columns, rows, (row, column, k) => 2 * x[k * inner + row]! * y[k * columns + column]!);
  const left = tf.tensor2d(x, [rows, inner]);
  const right = tf.tensor2d(w, [inner, columns]);
  expectEqual('un producto', tf.matMul(left, right).dataSync(), y);
  expectEqual('un gradiente', tf.grad((w) => tf.matMul(left, w as Tensor2D).square().sum())(right).dataSync(), dw);
}

/** A matrix, (rows, columns), each number of which is the sum of `term` over `depth` values of k. */
function sums(
  rows: number, columns: number, depth: number, term: (row: number, column: number, k: number) => number,
): number[] {
  return Array.from({ length: rows * columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += term(Math.floor(at / columns), at % columns, k);
    return sum;
  });
}

function expectEqual(what: string, computed: ArrayLike<number>, expected: readonly number[], bar = 1e-5): void {
  const largest = Math.max(...expected.map((value, i) => Math.abs(computed[i]! - value)));
  const scale = Math.max(...expected.map(Math.abs));
  if (!(largest <= bar * scale)) throw new Error(`calcula mal ${what}`);
}
