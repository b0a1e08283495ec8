import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { quantize } from '../quant/quantize.ts';
import { Random } from '../random.ts';
import { threadCount } from './kernels/pool.ts';
import { QuantizedMatrix } from './quantized.ts';

export interface KernelBench {
  readonly rows: number;
  readonly input: number;
  readonly output: number;
  readonly threads: number;
  /** GFLOP/s of x · Wᵀ by the backend's own product, W wide and already turned; from 4 bits; and on the way back. */
  readonly backend: number;
  readonly fused: number;
  readonly fusedGradient: number;
}

/** Rows of a batch by the linear layers of the embedded model and of SmolLM2-135M: (rows, in, out). */
const shapes = [
  [480, 256, 64], [480, 256, 256], [480, 256, 640], [480, 640, 256],
  [256, 576, 192], [256, 576, 576], [256, 576, 1536], [256, 1536, 576],
] as const;

/** Fused NF4 products on wasm against the backend's own products by dequantised weights. The backend is wasm. */
export function kernelBench(): KernelBench[] {
  return shapes.map(([rows, input, output]) => tf.tidy(() => {
    const random = Random.for(1, 'bench', rows, input, output);
    const values = (size: number) => Float32Array.from({ length: size }, () => random.normal());
    const x = tf.tensor2d(values(rows * input), [rows, input]);
    const dy = tf.tensor2d(values(rows * output), [rows, output]);
    const weight = new QuantizedMatrix(quantize(values(output * input), [output, input]));
    const turned = weight.wide().transpose() as Tensor2D; // (in, out)
    const gradient = tf.grad((x) => weight.linear(x as Tensor2D));
    const programs = {
      backend: () => tf.matMul(x, turned),
      fused: () => weight.linear(x),
      both: () => gradient(x, dy), // forward and back
    };
    const seconds = fastest(programs);
    const operations = 2 * rows * input * output / 1e9;
    weight.dispose();
    return {
      rows, input, output, threads: threadCount(),
      backend: operations / seconds.backend,
      fused: operations / seconds.fused,
      fusedGradient: operations / (seconds.both - seconds.fused),
    };
  }));
}

/** The least seconds that each takes, of rounds in which they take turns. */
function fastest<Name extends string>(programs: Record<Name, () => tf.Tensor>): Record<Name, number> {
  const names = Object.keys(programs) as Name[];
  const seconds = Object.fromEntries(names.map((name) => [name, Infinity])) as Record<Name, number>;
  for (let round = 0; round < 40; round++) {
    for (const name of names) {
      const start = performance.now();
      programs[name]().dispose();
      seconds[name] = Math.min(seconds[name], (performance.now() - start) / 1000);
    }
  }
  return seconds;
}
