import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { sizeOf } from '../../shape.ts';
import { runProgram } from './program.ts';

/**
 * The products of `tf.matMul` on WebGPU, a · b of each of a batch: TensorFlow.js's own reads past the end of b, which
 * only a device that looks at indices takes well. In float32, for what is small, as DoRA's norms and AdaLoRA's
 * matrices are; layers have `matmul`.
 */
export function registerBatchMatMul(): void {
  tf.unregisterKernel('BatchMatMul', 'webgpu');
  tf.registerKernel({
    kernelName: 'BatchMatMul', backendName: 'webgpu',
    kernelFunc: ({ inputs, attrs }) => {
      const { a, b } = inputs as { a: Tensor; b: Tensor };
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      return product(a, b, transposeA, transposeB);
    },
  });
}

/** a: (…, rows, depth), b: (…, depth, columns), either of them transposed first → (…, rows, columns). */
function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const [rows, depth] = transposeA ? [k, m] : [m, k];
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = [...batch, rows, columns];
  const size = sizeOf(shape);
  const of = (tensor: Tensor) => sizeOf(tensor.shape.slice(0, -2));
  return runProgram({
    key: `batch matmul ${transposeA} ${transposeB}`, write: { y: shape }, read: { a, b },
    integers: { size, rows, columns, depth, batchA: of(a), batchB: of(b) }, invocations: size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  let column = index % p.columns;
  let row = index / p.columns % p.rows;
  let at = index / (p.columns * p.rows);
  let leftFirst = at % p.batchA * p.rows * p.depth + row${transposeA ? '' : ' * p.depth'};
  let rightFirst = at % p.batchB * p.depth * p.columns + column${transposeB ? ' * p.depth' : ''};
  var sum = 0.0;
  for (var k = 0u; k < p.depth; k++) {
    sum += a[leftFirst + k${transposeA ? ' * p.rows' : ''}] * b[rightFirst + k${transposeB ? '' : ' * p.columns'}];
  }
  y[index] = sum;` }),
  })[0]!;
}
