import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { runProgram } from './program.ts';

/** x · scale, where scale is 1 / √(mean(x²) + ε) of each row (rows, 1). */
export function normalize(x: Tensor2D, epsilon: number): { y: Tensor2D; scale: Tensor } {
  const [rows, width] = x.shape;
  const [y, scale] = runProgram({
    key: 'normalize', write: { y: x.shape, scale: [rows, 1] }, read: { x },
    integers: { rows, width }, floats: { epsilon }, invocations: rows,
    code: () => ({ main: `
  if (index >= p.rows) { return; }
  let first = index * p.width;
  var sum = 0.0;
  for (var i = 0u; i < p.width; i++) { sum += x[first + i] * x[first + i]; }
  let s = inverseSqrt(sum / f32(p.width) + p.epsilon);
  for (var i = 0u; i < p.width; i++) { y[first + i] = x[first + i] * s; }
  scale[index] = s;` }),
  }) as [Tensor2D, Tensor];
  return { y, scale };
}

/** Its gradient with respect to x: scale · (dy − y · mean(dy · y)). */
export function normalizeGradient(y: Tensor2D, scale: Tensor, dy: Tensor): Tensor {
  const [rows, width] = y.shape;
  return runProgram({
    key: 'normalize back', write: { dx: y.shape }, read: { y, scale, dy },
    integers: { rows, width }, invocations: rows,
    code: () => ({ main: `
  if (index >= p.rows) { return; }
  let first = index * p.width;
  var mean = 0.0;
  for (var i = 0u; i < p.width; i++) { mean += dy[first + i] * y[first + i]; }
  mean /= f32(p.width);
  for (var i = 0u; i < p.width; i++) { dx[first + i] = scale[index] * (dy[first + i] - y[first + i] * mean); }` }),
  })[0]!;
}

/** silu(gate) · up, elementwise. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return runProgram({
    key: 'swiglu', write: { y: gate.shape }, read: { gate, up }, integers: { size: gate.size }, invocations: gate.size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  y[index] = gate[index] / (1 + exp(-gate[index])) * up[index];` }),
  })[0]!;
}

/** Its gradients: silu'(a) = σ(a) + silu(a) · (1 − σ(a)). */
export function swigluGradients(gate: Tensor, up: Tensor, dy: Tensor): [Tensor, Tensor] {
  return runProgram({
    key: 'swiglu back', write: { dGate: gate.shape, dUp: gate.shape }, read: { gate, up, dy },
    integers: { size: gate.size }, invocations: gate.size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  let sigmoid = 1 / (1 + exp(-gate[index]));
  let silu = gate[index] * sigmoid;
  dGate[index] = dy[index] * up[index] * (sigmoid + silu * (1 - sigmoid));
  dUp[index] = dy[index] * silu;` }),
  }) as [Tensor, Tensor];
}

/**
 * Softmax cross-entropy in nats of each row (rows), and the logarithm of each softmax's sum (rows).
 * logits: (rows, vocab), labels: int32 (rows).
 */
export function crossEntropy(logits: Tensor2D, labels: Tensor1D): { losses: Tensor1D; sums: Tensor1D } {
  const [rows, vocab] = logits.shape;
  const [losses, sums] = runProgram({
    key: 'cross-entropy', write: { losses: [rows], sums: [rows] }, read: { logits, labels },
    integers: { rows, vocab }, invocations: rows,
    code: () => ({ main: `
  if (index >= p.rows) { return; }
  let first = index * p.vocab;
  var largest = logits[first];
  for (var i = 1u; i < p.vocab; i++) { largest = max(largest, logits[first + i]); }
  var total = 0.0;
  for (var i = 0u; i < p.vocab; i++) { total += exp(logits[first + i] - largest); }
  sums[index] = largest + log(total);
  losses[index] = sums[index] - logits[first + u32(labels[index])];` }),
  }) as [Tensor1D, Tensor1D];
  return { losses, sums };
}

/** The gradient of their sum with respect to the logits, times dy and `scale`: p − one-hot. dy: a scalar. */
export function crossEntropyGradient(
  logits: Tensor2D, labels: Tensor1D, sums: Tensor1D, dy: Tensor, scale: number,
): Tensor {
  const [, vocab] = logits.shape;
  return runProgram({
    key: 'cross-entropy back', write: { dx: logits.shape }, read: { logits, labels, sums, dy },
    integers: { size: logits.size, vocab }, floats: { scale }, invocations: logits.size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  let row = index / p.vocab;
  let own = select(0.0, 1.0, u32(labels[row]) == index % p.vocab);
  dx[index] = (exp(logits[index] - sums[row]) - own) * dy[0] * p.scale;` }),
  })[0]!;
}
