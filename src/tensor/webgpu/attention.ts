import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import { sizeOf } from '../../shape.ts';
import { webgpuBackend } from './device.ts';
import { each, runProgram } from './program.ts';
import { blocksToTry } from './tiles.ts';
import type { Block } from './tiles.ts';

/**
 * Causal attention without the score matrix (Rabe and Staats, 2021), by tiles (Dao et al., 2022): a workgroup has one
 * block of queries of one head, and meets the blocks of keys up to its own one after the other.
 *
 * @param q (batch·seq, heads, headDim), headDim a multiple of 4
 * @param k, v (batch, seq, kvHeads, headDim), of sequences padded on the right
 * @returns `out` (batch·seq, heads·headDim), and `sums` (batch·seq, heads), the logarithm of each softmax's sum
 */
export function causalAttention(q: Tensor3D, k: Tensor4D, v: Tensor4D): { out: Tensor2D; sums: Tensor2D } {
  const [rows, heads, headDim] = q.shape;
  const shape = blocksOf(headDim)!;
  const { block, high, fetch, products, gather, ofRow, store } = writer(shape);
  const [out, sums] = runProgram({
    key: `attention ${block} ${shape.size}`, write: { out: [rows, heads * headDim], sums: [rows, heads] }, read: { q, k, v },
    types: { out: 'vec4f', q: 'vec4f', k: 'vec4f', v: 'vec4f' }, ...numbers(q, k),
    workgroups: { count: rows / k.shape[1] * heads * Math.ceil(k.shape[1] / block), size: THREADS },
    code: () => ({
      before: memory(shape, ['own', 'met']),
      // Rows are queries, columns keys. A larger score than all before scales down what was summed.
      main: `
${place(block, 'last')}
  let kvHead = head / (p.heads / p.kvHeads);
${fetch('own', 'q', 'first', 'p.heads', 'head')}
${each(high, (i) => `  var largest${i} = -3e38;
  var total${i} = 0.0;`)}
${gather.start('sum')}
  for (var start = 0u; start <= first; start += ${block}) {
${fetch('met', 'k', 'start', 'p.kvHeads', 'kvHead')}
    workgroupBarrier();
${products('score', 'own', 'met')}
${each(high, (i) => `    score${i} *= p.scale;
    if (start == first) { score${i} = select(${vector(high)}(-3e38), score${i}, columns <= ${vector(high, 'u')}(${ofRow(i)})); }
    parts[(${ofRow(i)}) * 8 + across] = most(score${i});`)}
    workgroupBarrier();
${fetch('met', 'v', 'start', 'p.kvHeads', 'kvHead')}
${each(high, (i) => `    let now${i} = max(largest${i}, mostOfRow(${ofRow(i)}));
    let fade${i} = exp(largest${i} - now${i});
    score${i} = exp(score${i} - now${i});
    total${i} = total${i} * fade${i} + sumOf(score${i});
    largest${i} = now${i};
    weights[(${ofRow(i)}) * 8 + across] = score${i};`)}
${gather.fade('sum', 'fade')}
    workgroupBarrier();
${gather.add('sum', 'met')}
    workgroupBarrier();
  }
${each(high, (i) => `  parts[(${ofRow(i)}) * 8 + across] = total${i};`)}
  workgroupBarrier();
${each(high, (i) => `  total${i} = sumOfRow(${ofRow(i)});
  if (across == 0 && first + ${ofRow(i)} < p.seq) {
    sums[(sequence * p.seq + first + ${ofRow(i)}) * p.heads + head] = largest${i} + log(total${i});
  }`)}
${store('out', 'p.heads', 'head', (i, c) => `sum${i}_${c} / total${i}`)}`,
    }),
  }) as [Tensor2D, Tensor2D];
  return { out, sums };
}

/** The gradients of `causalAttention` with respect to q, k and v, given that of its output. */
export function causalAttentionGradients(
  q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor2D, dOut: Tensor2D,
): [Tensor, Tensor, Tensor] {
  const [rows, heads, headDim] = q.shape;
  const [batch, seq, kvHeads] = k.shape;
  const shape = blocksOf(headDim)!;
  const { block, high, fetch, products, gather, ofRow, store } = writer(shape);
  const vectors = Object.fromEntries(['dq', 'dk', 'dv', 'q', 'k', 'v', 'out', 'dOut'].map((name) => [name, 'vec4f']));
  const blocks = Math.ceil(seq / block);
  const [dq, shares] = runProgram({
    key: `attention dq ${block} ${shape.size}`, write: { dq: q.shape, shares: [rows, heads] },
    read: { q, k, v, out, sums, dOut }, types: vectors, ...numbers(q, k),
    workgroups: { count: batch * heads * blocks, size: THREADS },
    code: () => ({
      before: memory(shape, ['own', 'ownOut', 'met']),
      // Rows are queries, columns keys. dScore = p · (dOut · v − share), and share = dOut · out of the query.
      main: `
${place(block, 'last')}
  let kvHead = head / (p.heads / p.kvHeads);
${fetch('own', 'q', 'first', 'p.heads', 'head')}
${fetch('ownOut', 'dOut', 'first', 'p.heads', 'head')}
${each(high, (i) => `  let row${i} = (sequence * p.seq + min(first + ${ofRow(i)}, p.seq - 1)) * p.heads + head;
  var part${i} = 0.0;
  for (var c = across; c < ${shape.size}; c += 8) {
    part${i} += dot(dOut[row${i} * ${shape.size} + c], out[row${i} * ${shape.size} + c]);
  }
  parts[(${ofRow(i)}) * 8 + across] = part${i};`)}
  workgroupBarrier();
${each(high, (i) => `  let share${i} = sumOfRow(${ofRow(i)});
  let sum${i} = sums[row${i}];
  if (across == 0 && first + ${ofRow(i)} < p.seq) { shares[row${i}] = share${i}; }`)}
${gather.start('dq')}
  for (var start = 0u; start <= first; start += ${block}) {
${fetch('met', 'v', 'start', 'p.kvHeads', 'kvHead')}
    workgroupBarrier();
${products('dPower', 'ownOut', 'met')}
    workgroupBarrier();
${fetch('met', 'k', 'start', 'p.kvHeads', 'kvHead')}
    workgroupBarrier();
${products('score', 'own', 'met')}
${each(high, (i) => `    var power${i} = exp(score${i} * p.scale - sum${i});
    if (start == first) { power${i} = select(${vector(high)}(), power${i}, columns <= ${vector(high, 'u')}(${ofRow(i)})); }
    weights[(${ofRow(i)}) * 8 + across] = power${i} * (dPower${i} - share${i}) * p.scale;`)}
    workgroupBarrier();
${gather.add('dq', 'met')}
    workgroupBarrier();
  }
${store('dq', 'p.heads', 'head', (i, c) => `dq${i}_${c}`)}`,
    }),
  }) as [Tensor, Tensor];
  // A workgroup a head of the queries: those that share keys each have a part of these two.
  const parts = [batch, seq, heads, headDim];
  const [dk, dv] = runProgram({
    key: `attention dk dv ${block} ${shape.size}`, write: { dk: parts, dv: parts }, read: { q, k, v, sums, shares, dOut },
    types: vectors, ...numbers(q, k), workgroups: { count: batch * heads * blocks, size: THREADS },
    code: () => ({
      before: memory(shape, ['own', 'ownV', 'met']),
      // Rows are keys, columns queries: their own and all later ones.
      main: `
${place(block, 'first')}
  let kvHead = head / (p.heads / p.kvHeads);
${fetch('own', 'k', 'first', 'p.kvHeads', 'kvHead')}
${fetch('ownV', 'v', 'first', 'p.kvHeads', 'kvHead')}
${gather.start('dk')}
${gather.start('dv')}
  for (var start = first; start < p.seq; start += ${block}) {
${fetch('met', 'q', 'start', 'p.heads', 'head')}
    workgroupBarrier();
${products('score', 'own', 'met')}
    let queries = columns + start;
    let seen = queries < ${vector(high, 'u')}(p.seq);
    var sum = ${vector(high)}();
    var share = ${vector(high)}();
${each(high, (j) => `    let row${j} = (sequence * p.seq + min(start + across + ${8 * j}, p.seq - 1)) * p.heads + head;
    ${part('sum', high, j)} = sums[row${j}];
    ${part('share', high, j)} = shares[row${j}];`)}
${each(high, (i) => `    let power${i} = select(${vector(high)}(), exp(score${i} * p.scale - sum),
      seen & (queries >= ${vector(high, 'u')}(first + ${ofRow(i)})));
    weights[(${ofRow(i)}) * 8 + across] = power${i};`)}
    workgroupBarrier();
${fetch('met', 'dOut', 'start', 'p.heads', 'head')}
    workgroupBarrier();
${products('dPower', 'ownV', 'met')}
${gather.add('dv', 'met')}
    workgroupBarrier();
${fetch('met', 'q', 'start', 'p.heads', 'head')}
${each(high, (i) => `    weights[(${ofRow(i)}) * 8 + across] = power${i} * (dPower${i} - share) * p.scale;`)}
    workgroupBarrier();
${gather.add('dk', 'met')}
    workgroupBarrier();
  }
${store('dk', 'p.heads', 'head', (i, c) => `dk${i}_${c}`)}
${store('dv', 'p.heads', 'head', (i, c) => `dv${i}_${c}`)}`,
    }),
  });
  shares.dispose();
  if (heads === kvHeads) return [dq, dk!, dv!];
  const whole = [dk!, dv!].map((parts) => sumOfGroups(parts, k.shape)) as [Tensor, Tensor];
  tf.dispose([dk!, dv!]);
  return [dq, ...whole];
}

/** Of heads that share keys, the sum. parts: (batch, seq, heads, headDim) → `shape`, (batch, seq, kvHeads, headDim). */
function sumOfGroups(parts: Tensor, shape: readonly number[]): Tensor {
  const headDim = shape[3]!;
  const size = sizeOf(shape) / 4;
  return runProgram({
    key: 'sum of groups', write: { y: shape }, read: { parts }, types: { y: 'vec4f', parts: 'vec4f' },
    integers: { size, vectors: headDim / 4, sharing: parts.shape[2]! / shape[2]! }, invocations: size,
    code: () => ({ main: `
  if (index >= p.size) { return; }
  var sum = vec4f();
  for (var i = 0u; i < p.sharing; i++) {
    sum += parts[(index / p.vectors * p.sharing + i) * p.vectors + index % p.vectors];
  }
  y[index] = sum;` }),
  })[0]!;
}

/** Invocations of a workgroup: 8 × 8, each of which has every eighth row and column of a block's scores. */
const THREADS = 64;

interface Blocks {
  /** Queries, or keys, of a block. */
  readonly block: Block;
  /** Vectors of four in a head. */
  readonly size: number;
}

/** The largest blocks of which a workgroup's memory holds what a kernel needs; none for very long heads. */
function blocksOf(headDim: number): Blocks | undefined {
  const size = headDim / 4;
  const { maxComputeWorkgroupStorageSize: most } = webgpuBackend().device.limits;
  const block = blocksToTry().find((block) => 3 * 16 * block * (size + 1) + 4 * block * (block + 8) <= most);
  return block && { block, size };
}

/** Whether the device has what attention by heads of this length takes. */
export function fitsAttention(headDim: number): boolean {
  return blocksOf(headDim) !== undefined;
}

function numbers(q: Tensor3D, k: Tensor4D) {
  const [, heads, headDim] = q.shape;
  const [batch, seq, kvHeads] = k.shape;
  return { integers: { batch, heads, kvHeads, seq }, floats: { scale: 1 / Math.sqrt(headDim) } };
}

/** WGSL's vector of so many, of which a lone one is no vector. */
const vector = (count: number, of: 'f' | 'u' = 'f') => (count === 1 ? `${of}32` : `vec${count}${of}`);
const part = (name: string, count: number, i: number) => (count === 1 ? name : `${name}[${i}]`);

/**
 * Where a workgroup stands: the longest way first, so that the last to begin are soon done. That is the way of the last
 * block to the keys before it, or of the first one to the queries after it.
 */
const place = (block: number, longest: 'first' | 'last') => `
  let blocks = (p.seq + ${block - 1}) / ${block};
  let head = group / blocks % p.heads;
  let sequence = group / blocks / p.heads;
  if (sequence >= p.batch) { return; }
  let first = ${longest === 'last' ? '(blocks - 1 - group % blocks)' : 'group % blocks'} * ${block};
  let down = local / 8;
  let across = local % 8;
  let columns = ${vector(block / 8, 'u')}(${Array.from({ length: block / 8 }, (_, j) => `across + ${8 * j}`).join(', ')});`;

/**
 * Tiles of (block, headDim), whose rows lie one vector further apart than they are long: so eight of them are read at
 * once from different banks. `weights` (block, block) has a row's columns in the order of the invocations that have
 * them: 0, 8, 16…, 1, 9, 17…
 */
function memory({ block, size }: Blocks, tiles: readonly string[]): string {
  const high = block / 8;
  const ofRow = (name: string, joined: (a: string, b: string) => string) => `fn ${name}(row: u32) -> f32 {
  var all = parts[row * 8];
  for (var i = 1u; i < 8; i++) { all = ${joined('all', 'parts[row * 8 + i]')}; }
  return all;
}`;
  const joined = (of: (a: string, b: string) => string) =>
    Array.from({ length: high }, (_, i) => part('x', high, i)).reduce(of);
  return `
${tiles.map((name) => `var<workgroup> ${name}: array<vec4f, ${block * (size + 1)}>;`).join('\n')}
var<workgroup> weights: array<${vector(high)}, ${block * 8}>;
var<workgroup> parts: array<f32, ${block * 8}>;
fn most(x: ${vector(high)}) -> f32 { return ${joined((a, b) => `max(${a}, ${b})`)}; }
fn sumOf(x: ${vector(high)}) -> f32 { return ${joined((a, b) => `${a} + ${b}`)}; }
${ofRow('mostOfRow', (a, b) => `max(${a}, ${b})`)}
${ofRow('sumOfRow', (a, b) => `${a} + ${b}`)}`;
}

/** The parts that the kernels are written of. */
function writer({ block, size }: Blocks) {
  const high = block / 8;
  const wide = Math.ceil(size / 8);
  const pitch = size + 1;
  const ofRow = (i: number) => `down + ${8 * i}`;
  const all = (text: (i: number, c: number) => string) => each(high, (i) => each(wide, (c) => text(i, c)));
  return {
    block, high, ofRow,
    /** A block's rows of a head, from position `start` on; past the last one, that again. */
    fetch: (tile: string, from: string, start: string, heads: string, head: string) => `
    for (var unit = local; unit < ${block * size}; unit += ${THREADS}) {
      let row = (sequence * p.seq + min(${start} + unit / ${size}, p.seq - 1)) * ${heads} + ${head};
      ${tile}[unit / ${size} * ${pitch} + unit % ${size}] = ${from}[row * ${size} + unit % ${size}];
    }`,
    /** `name`0, 1…: of each of the invocation's rows of one tile, the products with its rows of the other. */
    products: (name: string, left: string, right: string) => `
${each(high, (i) => `    var ${name}${i} = ${vector(high)}();`)}
    for (var c = 0u; c < ${size}; c++) {
${each(high, (i) => `      let x${i} = ${left}[(${ofRow(i)}) * ${pitch} + c];
      let y${i} = ${right}[(across + ${8 * i}) * ${pitch} + c];`)}
${each(high, (i) => `      ${name}${i} += ${vector(high)}(${
  Array.from({ length: high }, (_, j) => `dot(x${i}, y${j})`).join(', ')});`)}
    }`,
    /** Sums of a tile's rows by `weights`, of which each invocation has every eighth vector of its rows. */
    gather: {
      start: (name: string) => `${all((i, c) => `  var ${name}${i}_${c} = vec4f();`)}`,
      fade: (name: string, by: string) => `${all((i, c) => `    ${name}${i}_${c} *= ${by}${i};`)}`,
      add: (name: string, tile: string) => `
    for (var t = 0u; t < 8; t++) {
${each(high, (i) => `      let w${i} = weights[(${ofRow(i)}) * 8 + t];`)}
${each(high, (j) => each(wide, (c) => `      let v${j}_${c} = ${tile}[(t + ${8 * j}) * ${pitch} + min(across + ${8 * c}, ${size - 1})];`))}
${each(high, (j) => all((i, c) => `      ${name}${i}_${c} += ${part(`w${i}`, high, j)} * v${j}_${c};`))}
    }`,
    },
    store: (to: string, heads: string, head: string, value: (i: number, c: number) => string) =>
      all((i, c) => `  if (first + ${ofRow(i)} < p.seq && across + ${8 * c} < ${size}) {
    ${to}[((sequence * p.seq + first + ${ofRow(i)}) * ${heads} + ${head}) * ${size} + across + ${8 * c}] = ${value(i, c)};
  }`),
  };
}

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
