// Run by pool.test.ts: products and attention, forward and back, and one line with the hash of all that came out.
import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { quantize } from '../../../src/quant/quantize.ts';
import { Random } from '../../../src/random.ts';
import { useBackend } from '../../../src/tensor/backend.ts';
import { causalAttention, causalAttentionGradients } from '../../../src/tensor/kernels/attention.ts';
import { HeldMatrix, matmul } from '../../../src/tensor/kernels/matmul.ts';

await useBackend('wasm');
const random = new Random(1);
const values = (size: number) => Float32Array.from({ length: size }, () => random.normal());
const tensor = <T extends tf.Tensor>(...shape: number[]) =>
  tf.tensor(values(shape.reduce((a, b) => a * b)), shape) as T;

const matrix = new HeldMatrix(quantize(values(192 * 320), [192, 320]));
const [x, dy] = [tensor<tf.Tensor2D>(203, 320), tensor<tf.Tensor2D>(203, 192)];
const q = tensor<tf.Tensor3D>(74, 4, 16);
const [k, v] = [tensor<tf.Tensor4D>(2, 37, 2, 16), tensor<tf.Tensor4D>(2, 37, 2, 16)];
const hash = createHash('sha256');
for (let round = 0; round < 20; round++) {
  const { out, sums } = causalAttention(q, k, v);
  const dOut = out.neg() as tf.Tensor2D;
  const results = [
    matrix.product(x, true), matrix.product(dy, false), matmul(dy, x, { transposeA: true }),
    out, ...causalAttentionGradients(q, k, v, out, sums, dOut),
  ];
  for (const result of results) hash.update(Buffer.from(result.dataSync().buffer));
  tf.dispose([...results, sums, dOut]);
}
console.log(hash.digest('hex'));
