import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { runProgram } from './program.ts';

/**
 * Causal attention without the score matrix (Rabe and Staats, 2021; Dao et al., 2022): one invocation a query and head.
 *
 * @param q (batch·seq, heads, headDim), headDim a multiple of 4
 * @param k, v (batch, seq, kvHeads, headDim), of sequences padded on the right
 * @returns `out` (batch·seq, heads·headDim), and `sums` (batch·seq, heads), the logarithm of each softmax's sum
 */
export function causalAttention(q: Tensor3D, k: Tensor4D, v: Tensor4D): { out: Tensor2D; sums: Tensor2D } {
  const [rows, heads, headDim] = q.shape;
  const [, seq, kvHeads] = k.shape;
  const size = headDim / 4;
  const [out, sums] = runProgram({
    key: `attention ${size}`, write: { out: [rows, heads * headDim], sums: [rows, heads] }, read: { q, k, v },
    types: { out: 'vec4f', q: 'vec4f', k: 'vec4f', v: 'vec4f' },
    integers: { rows, heads, kvHeads, seq }, floats: { scale: 1 / Math.sqrt(headDim) }, invocations: rows * heads,
    code: () => ({
      before: position(size),
      // A larger score than all before scales down what was summed.
      main: `
  if (index >= p.rows * p.heads) { return; }
  let here = place(index);
  var own: array<vec4f, ${size}>;
  var sum: array<vec4f, ${size}>;
  for (var i = 0u; i < ${size}; i++) { own[i] = q[index * ${size} + i] * p.scale; }
  var largest = -3e38;
  var total = 0.0;
  for (var j = 0u; j <= here.position; j++) {
    let at = here.keys + j * p.kvHeads * ${size};
    var score = 0.0;
    for (var i = 0u; i < ${size}; i++) { score += dot(own[i], k[at + i]); }
    let now = max(largest, score);
    let fade = exp(largest - now);
    let power = exp(score - now);
    total = total * fade + power;
    for (var i = 0u; i < ${size}; i++) { sum[i] = sum[i] * fade + power * v[at + i]; }
    largest = now;
  }
  for (var i = 0u; i < ${size}; i++) { out[index * ${size} + i] = sum[i] / total; }
  sums[index] = largest + log(total);`,
    }),
  }) as [Tensor2D, Tensor2D];
  return { out, sums };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor2D, dOut: Tensor2D,
): [Tensor, Tensor, Tensor] {
  const [rows, heads, headDim] = q.shape;
  const [, seq, kvHeads] = k.shape;
  const size = headDim / 4;
  const numbers = { integers: { rows, heads, kvHeads, seq }, floats: { scale: 1 / Math.sqrt(headDim) } };
  const vectors = Object.fromEntries(['dq', 'dk', 'dv', 'q', 'k', 'v', 'out', 'dOut'].map((name) => [name, 'vec4f']));
  const [dq, shares] = runProgram({
    key: `attention dq ${size}`, write: { dq: q.shape, shares: [rows, heads] }, read: { q, k, v, out, sums, dOut },
    types: vectors, ...numbers, invocations: rows * heads,
    code: () => ({
      before: position(size),
      // dScore = p · (dOut · v − dOut · out)
      main: `
  if (index >= p.rows * p.heads) { return; }
  let here = place(index);
  var sum: array<vec4f, ${size}>;
  var share = 0.0;
  for (var i = 0u; i < ${size}; i++) { share += dot(dOut[index * ${size} + i], out[index * ${size} + i]); }
  for (var j = 0u; j <= here.position; j++) {
    let at = here.keys + j * p.kvHeads * ${size};
    var score = 0.0;
    var dPower = 0.0;
    for (var i = 0u; i < ${size}; i++) {
      score += dot(q[index * ${size} + i], k[at + i]);
      dPower += dot(dOut[index * ${size} + i], v[at + i]);
    }
    let dScore = exp(score * p.scale - sums[index]) * (dPower - share) * p.scale;
    for (var i = 0u; i < ${size}; i++) { sum[i] += dScore * k[at + i]; }
  }
  for (var i = 0u; i < ${size}; i++) { dq[index * ${size} + i] = sum[i]; }
  shares[index] = share;`,
    }),
  }) as [Tensor, Tensor];
  const [dk, dv] = runProgram({
    key: `attention dk dv ${size}`, write: { dk: k.shape, dv: v.shape }, read: { q, k, v, sums, shares, dOut },
    types: vectors, ...numbers, invocations: rows * kvHeads,
    code: () => ({
      // One invocation a key and head of keys: all later queries of its group look at it.
      main: `
  if (index >= p.rows * p.kvHeads) { return; }
  let row = index / p.kvHeads;
  let group = p.heads / p.kvHeads;
  let last = (row / p.seq + 1) * p.seq;
  var sumK: array<vec4f, ${size}>;
  var sumV: array<vec4f, ${size}>;
  for (var query = row; query < last; query++) {
    for (var head = 0u; head < group; head++) {
      let one = query * p.heads + index % p.kvHeads * group + head;
      var score = 0.0;
      var dPower = 0.0;
      for (var i = 0u; i < ${size}; i++) {
        score += dot(q[one * ${size} + i], k[index * ${size} + i]);
        dPower += dot(dOut[one * ${size} + i], v[index * ${size} + i]);
      }
      let power = exp(score * p.scale - sums[one]);
      let dScore = power * (dPower - shares[one]) * p.scale;
      for (var i = 0u; i < ${size}; i++) {
        sumK[i] += dScore * q[one * ${size} + i];
        sumV[i] += power * dOut[one * ${size} + i];
      }
    }
  }
  for (var i = 0u; i < ${size}; i++) {
    dk[index * ${size} + i] = sumK[i];
    dv[index * ${size} + i] = sumV[i];
  }`,
    }),
  }) as [Tensor, Tensor];
  shares.dispose();
  return [dq, dk, dv];
}

/** Where a query (row, head) stands in its sequence, and where that sequence's keys of its group begin. */
const position = (size: number) => `
struct Place { position: u32, keys: u32 }
fn place(index: u32) -> Place {
  let row = index / p.heads;
  let head = index % p.heads / (p.heads / p.kvHeads);
  return Place(row % p.seq, (row / p.seq * p.seq * p.kvHeads + head) * ${size});
}`;

/**
 * Rotary embedding: x · cos + sign · rotate_half(x) · sin.
 *
 * @param x (rows, heads, headDim)
 * @param cos, sin (rows, 1, headDim)
 */
export function rotate(x: Tensor3D, cos: Tensor, sin: Tensor, sign: 1 | -1): Tensor3D {
  const [rows, heads, headDim] = x.shape;
  return runProgram({
    key: 'rotate', write: { y: x.shape }, read: { x, cos, sin },
    integers: { size: x.size, heads, headDim }, floats: { sign }, invocations: rows * heads * headDim,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  let i = index % p.headDim;
  let at = index / (p.headDim * p.heads) * p.headDim + i;
  let half = p.headDim / 2;
  let turned = select(x[index - min(index, half)], -x[min(index + half, p.size - 1)], i < half);
  y[index] = x[index] * cos[at] + p.sign * turned * sin[at];` }),
  })[0] as Tensor3D;
}
