import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { runProgram } from './program.ts';

/**
 * RMSNorm, x · scale · weight, and scale, which is 1 / √(mean(x²) + ε) of each row: (rows, 1). A workgroup a row.
 *
 * @param x (rows, width), weight (width)
 */
export function rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number): { y: Tensor2D; scale: Tensor } {
  const [rows, width] = x.shape;
  const { element, units, size, before } = shareOf(width);
  const [y, scale] = runProgram({
    key: `rms norm ${element} ${size}`, write: { y: x.shape, scale: [rows, 1] }, read: { x, weight },
    types: { y: element, x: element, weight: element },
    integers: { rows, units }, floats: { width, epsilon }, workgroups: { count: rows, size, reduce: true },
    code: () => ({ before, main: `
  if (group >= p.rows) { return; }
  let first = group * p.units;
  var squares = ${element}();
  for (var i = local; i < p.units; i += ${size}) { squares += x[first + i] * x[first + i]; }
  let s = inverseSqrt(sumOfAll(local, total(squares)) / p.width + p.epsilon);
  for (var i = local; i < p.units; i += ${size}) { y[first + i] = x[first + i] * s * weight[i]; }
  if (local == 0) { scale[group] = s; }` }),
  }) as [Tensor2D, Tensor];
  return { y, scale };
}

/** Its gradient with respect to x. With g = dy · weight and n = x · scale: scale · (g − n · mean(g · n)). */
export function rmsNormGradient(x: Tensor2D, weight: Tensor1D, scale: Tensor, dy: Tensor): Tensor {
  const [rows, width] = x.shape;
  const { element, units, size, before } = shareOf(width);
  return runProgram({
    key: `rms norm back ${element} ${size}`, write: { dx: x.shape }, read: { x, weight, scale, dy },
    types: { dx: element, x: element, weight: element, dy: element },
    integers: { rows, units }, floats: { width }, workgroups: { count: rows, size, reduce: true },
    code: () => ({ before, main: `
  if (group >= p.rows) { return; }
  let first = group * p.units;
  let s = scale[group];
  var products = ${element}();
  for (var i = local; i < p.units; i += ${size}) { products += dy[first + i] * weight[i] * x[first + i]; }
  let mean = sumOfAll(local, total(products)) / p.width * s * s;
  for (var i = local; i < p.units; i += ${size}) {
    dx[first + i] = s * (dy[first + i] * weight[i] - x[first + i] * mean);
  }` }),
  })[0]!;
}

/** How a workgroup shares a row out: in vectors of four where they fill it, and some eight of them to an invocation. */
function shareOf(width: number) {
  const isWhole = width % 4 === 0;
  const units = isWhole ? width / 4 : width;
  return {
    element: isWhole ? 'vec4f' : 'f32', units,
    size: Math.min(256, Math.max(32, 2 ** Math.floor(Math.log2(units / 8)))),
    before: isWhole
      ? `fn total(x: vec4f) -> f32 { return dot(x, vec4f(1)); }
fn largest(x: vec4f) -> f32 { return max(max(x.x, x.y), max(x.z, x.w)); }`
      : `fn total(x: f32) -> f32 { return x; }
fn largest(x: f32) -> f32 { return x; }`,
  };
}

/**
 * Of each row (rows) the power of two by which its largest number comes to some 1,024: between what float16 holds at
 * most and at least there is room on both sides. A workgroup a row.
 */
export function rowScalesOf(x: Tensor2D): Tensor1D {
  const [rows, width] = x.shape;
  const { element, units, size, before } = shareOf(width);
  return runProgram({
    key: `row scales ${element} ${size}`, write: { scales: [rows] }, read: { x }, types: { x: element },
    integers: { rows, units }, workgroups: { count: rows, size, reduce: true },
    code: () => ({ before, main: `
  if (group >= p.rows) { return; }
  var most = 0.0;
  for (var i = local; i < p.units; i += ${size}) { most = max(most, largest(abs(x[group * p.units + i]))); }
  let mostOfAll = maxOfAll(local, most);
  if (local == 0) { scales[group] = exp2(clamp(10 - floor(log2(max(mostOfAll, 1e-37))), -100, 100)); }` }),
  })[0] as Tensor1D;
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
 * Softmax cross-entropy in nats of each row (rows), and the logarithm of each softmax's sum (rows). A workgroup a row,
 * which is read once.
 * logits: (rows, vocab), labels: int32 (rows).
 */
export function crossEntropy(logits: Tensor2D, labels: Tensor1D): { losses: Tensor1D; sums: Tensor1D } {
  const [rows, vocab] = logits.shape;
  const { element, units, size, before } = shareOf(vocab);
  const [losses, sums] = runProgram({
    key: `cross-entropy ${element} ${size}`, write: { losses: [rows], sums: [rows] }, read: { logits, labels },
    types: { logits: element }, integers: { rows, units }, workgroups: { count: rows, size, reduce: true },
    code: () => ({ before, main: `
  if (group >= p.rows) { return; }
  let first = group * p.units;
  var most = -3e38;
  var powers = ${element}();
  for (var i = local; i < p.units; i += ${size}) {
    let x = logits[first + i];
    let now = max(most, largest(x)); // a larger one than all before scales down what was summed
    powers = powers * exp(most - now) + exp(x - now);
    most = now;
  }
  let mostOfAll = maxOfAll(local, most);
  let sum = mostOfAll + log(sumOfAll(local, total(powers) * exp(most - mostOfAll)));
  if (local == 0) {
    let label = u32(labels[group]);
    sums[group] = sum;
    losses[group] = sum - ${element === 'f32' ? 'logits[first + label]' : 'logits[first + label / 4][label % 4]'};
  }` }),
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
