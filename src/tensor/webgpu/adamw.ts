import type { Tensor1D } from '@tensorflow/tfjs';
import { runProgram } from './program.ts';

/** The numbers of one step. */
export interface AdamwNumbers {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Of the gradients, which are clipped by it. */
  readonly scale: number;
  /** η / (1 − β₁ᵗ), and √(1 − β₂ᵗ), by which √v is divided. */
  readonly stepSize: number;
  readonly correction: number;
  /** 1 − η · λ: what decay leaves of a parameter, before its step. */
  readonly decay: number;
}

/**
 * AdamW (Loshchilov and Hutter, 2019, algorithm 2) on flat tensors, all (n): what it makes of the parameters; the
 * moments m and v change in place. PyTorch's order: a parameter decays before its step.
 */
export function adamw(
  parameters: Tensor1D, gradients: Tensor1D, m: Tensor1D, v: Tensor1D, { beta1, beta2, ...others }: AdamwNumbers,
): Tensor1D {
  const { size } = parameters;
  return runProgram({
    key: 'adamw', write: { after: [size] }, change: { m, v }, read: { parameters, gradients },
    // 1 − β here: in float32 it would lose the digits of 0.999
    integers: { size }, floats: { beta1, beta2, rest1: 1 - beta1, rest2: 1 - beta2, ...others }, invocations: size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  let g = gradients[index] * p.scale;
  let mean = p.beta1 * m[index] + p.rest1 * g;
  let square = p.beta2 * v[index] + p.rest2 * g * g;
  m[index] = mean;
  v[index] = square;
  after[index] = parameters[index] * p.decay - p.stepSize * mean / (sqrt(square) / p.correction + p.epsilon);` }),
  })[0] as Tensor1D;
}

/** Adds to a sum, in place. Both (n). */
export function addTo(sum: Tensor1D, more: Tensor1D): void {
  const { size } = sum;
  runProgram({
    key: 'add to', write: {}, change: { sum }, read: { more }, integers: { size }, invocations: size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  sum[index] += more[index];` }),
  });
}

const THREADS = 256;
/** Of a device's many processors each gets some. */
const MOST_GROUPS = 512;

/** The squares of x (n), summed up by each workgroup: (at most 512), few enough for the host to sum. */
export function squares(x: Tensor1D): Tensor1D {
  const { size } = x;
  const groups = Math.min(MOST_GROUPS, Math.ceil(size / (4 * THREADS)));
  return runProgram({
    key: 'squares', write: { sums: [groups] }, read: { x }, integers: { size, groups },
    workgroups: { count: groups, size: THREADS, reduce: true },
    code: () => ({ main: `
  if (group >= p.groups) { return; }
  var sum = 0.0;
  for (var i = group * ${THREADS} + local; i < p.size; i += p.groups * ${THREADS}) { sum += x[i] * x[i]; }
  sum = sumOfAll(local, sum);
  if (local == 0) { sums[group] = sum; }` }),
  })[0] as Tensor1D;
}
