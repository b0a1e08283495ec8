import type { Tensor2D } from '@tensorflow/tfjs';
import { each, runProgram } from './program.ts';

/**
 * LoRA's two thin products, fused with what they are added to: y + s · (x aᵀ) bᵀ, in two dispatches. Tiles of so few
 * columns would keep few of a GPU's processors busy: here the invocations of a workgroup share out the depth.
 *
 * y: (rows, out), x: (rows, in), a: (r, in), b: (out, r); the sum: (rows, out), low = s · x aᵀ: (rows, r).
 */
export function addUpdate(y: Tensor2D, x: Tensor2D, a: Tensor2D, b: Tensor2D, scaling: number) {
  const low = narrow(x, a, true, scaling);
  return { sum: widen(low, b, true, y), low };
}

/** Its gradients with respect to x, a and b; with respect to y it is dy: (rows, out). */
export function addUpdateGradients(
  dy: Tensor2D, x: Tensor2D, a: Tensor2D, b: Tensor2D, low: Tensor2D, scaling: number,
): [dx: Tensor2D, da: Tensor2D, db: Tensor2D] {
  const dLow = narrow(dy, b, false, scaling); // (rows, r)
  return [widen(dLow, a, false), outer(dLow, x, false), outer(low, dy, true)];
}

/** `name`4: four numbers of a matrix's row, from `at` on. Past its `width`: zeros, or in whole vectors others. */
const fourOf = (name: string, width: string, inVectors: boolean) => `
fn ${name}4(row: u32, at: u32) -> vec4f {
${inVectors ? `  return ${name}[(row * p.${width} + min(at, p.${width} - 4)) / 4];` : `  var v = vec4f();
  for (var i = 0u; i < 4; i++) { if (at + i < p.${width}) { v[i] = ${name}[row * p.${width} + at + i]; } }
  return v;`}
}`;

/** Those that can be read by whole vectors. */
const typesOf = (widths: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(widths).flatMap(([name, width]) => (width % 4 === 0 ? [[name, 'vec4f']] : [])));

/** Invocations that share out the depth of a number: each takes every eighth vector of it. */
const SHARERS = 8;
/** Numbers that a workgroup makes. */
const MADE = 32;

/** s · x · wᵀ, w: (r, depth), or without `turned` s · x · w, w: (depth, r). x: (rows, depth) → (rows, r). */
function narrow(x: Tensor2D, w: Tensor2D, turned: boolean, scaling: number): Tensor2D {
  const [rows, depth] = x.shape;
  const r = w.shape[turned ? 0 : 1];
  const columns = [1, 2, 4, 8].find((columns) => columns >= r) ?? 16;
  const high = MADE / columns;
  const inVectors = depth % 4 === 0;
  // Neighbours read what lies side by side: of w's rows the depth, of its columns the columns.
  const [own, sharer] = turned
    ? [`(local / ${SHARERS})`, `(local % ${SHARERS})`] : [`(local % ${MADE})`, `(local / ${MADE})`];
  return runProgram({
    key: `lora narrow ${turned} ${columns} ${inVectors}`,
    write: { low: [rows, r] }, read: { x, w }, types: typesOf({ x: depth, ...(turned && { w: depth }) }),
    integers: { rows, depth, r }, floats: { scaling },
    workgroups: { count: Math.ceil(rows / high) * Math.ceil(r / columns), size: MADE * SHARERS },
    code: () => ({
      before: `var<workgroup> shares: array<f32, ${MADE * SHARERS}>;
${fourOf('x', 'depth', inVectors)}
${turned ? fourOf('w', 'depth', inVectors) : `fn w4(column: u32, k: u32) -> vec4f { // past the depth x is zero, and these are of no consequence
  let at = k * p.r + column;
  let step = ${inVectors ? 'vec4u(0, 1, 2, 3)' : 'min(vec4u(0, 1, 2, 3), vec4u(p.depth - 1 - k))'} * p.r;
  return vec4f(w[at], w[at + step.y], w[at + step.z], w[at + step.w]);
}`}`,
      main: `
  let across = (p.r + ${columns - 1}) / ${columns};
  let own = ${own};
  let row = group / across * ${high} + own / ${columns};
  let column = group % across * ${columns} + own % ${columns};
  var sum = 0.0;
  for (var k = ${sharer} * 4; k < p.depth; k += ${4 * SHARERS}) {
    sum += dot(x4(min(row, p.rows - 1), k), w4(min(column, p.r - 1), k));
  }
  shares[${sharer} * ${MADE} + own] = sum;
  workgroupBarrier();
  if (${sharer} > 0 || row >= p.rows || column >= p.r) { return; }
  low[row * p.r + column] = p.scaling * (${Array.from({ length: SHARERS }, (_, i) => `shares[own + ${i * MADE}]`).join(' + ')});`,
    }),
  })[0] as Tensor2D;
}

/** Rows of an invocation: w, whose rows are short and far apart, is read once for all of them. */
const HIGH = 8;

/** low · wᵀ, w: (out, r), or without `turned` low · w, w: (r, out); and y, if given. low: (rows, r) → (rows, out). */
function widen(low: Tensor2D, w: Tensor2D, turned: boolean, y?: Tensor2D): Tensor2D {
  const [rows, r] = low.shape;
  const columns = w.shape[turned ? 0 : 1];
  const width = turned ? 'r' : 'columns';
  const types = typesOf({ low: r, w: { r, columns }[width], ...(y && { y: columns }), sum: columns });
  const inVectors = columns % 4 === 0;
  const partAt = (i: number) => (turned ? `w4(min(n + ${i}, p.columns - 1), k)` : `w4(min(k + ${i}, p.r - 1), n)`);
  const lowAt = (i: number) => `low4(min(m + ${i}, p.rows - 1), k)`;
  return runProgram({
    key: `lora widen ${turned} ${y !== undefined} ${Object.keys(types).join(' ')}`,
    write: { sum: [rows, columns] }, read: { low, w, ...(y && { y }) }, types, integers: { rows, columns, r },
    invocations: Math.ceil(rows / HIGH) * Math.ceil(columns / 4),
    code: () => ({
      before: `${fourOf('low', 'r', r % 4 === 0)}
${fourOf('w', width, 'w' in types)}
${y ? fourOf('y', 'columns', inVectors) : ''}`,
      main: `
  let across = (p.columns + 3) / 4;
  let m = index / across * ${HIGH};
  let n = index % across * 4;
  if (m >= p.rows) { return; }
${each(HIGH, (i) => `  var sum${i} = vec4f();`)}
  for (var k = 0u; k < p.r; k += 4) { // past r low has zeros
    let part = mat4x4f(${Array.from({ length: 4 }, (_, i) => partAt(i)).join(', ')});
${each(HIGH, (i) => `    sum${i} += ${turned ? `${lowAt(i)} * part` : `part * ${lowAt(i)}`};`)}
  }
${each(HIGH, (i) => `  if (m + ${i} < p.rows) {
${y ? `    sum${i} += y4(m + ${i}, n);` : ''}
    let at = (m + ${i}) * p.columns + n;
    ${inVectors ? `sum[at / 4] = sum${i};` : `for (var c = 0u; c < 4 && n + c < p.columns; c++) { sum[at + c] = sum${i}[c]; }`}
  }`)}` }),
  })[0] as Tensor2D;
}

/** Vectors of a workgroup's columns. */
const ACROSS = 32;
/** Invocations that share out the rows: each takes every eighth. */
const TURNS = 8;

/**
 * lowᵀ · wide: (r, columns), or `turned` its transpose. low: (rows, r), wide: (rows, columns). It is thin, and deep:
 * rows are shared out, so that it does not wait for one invocation to go through them all.
 */
function outer(low: Tensor2D, wide: Tensor2D, turned: boolean): Tensor2D {
  const [rows, r] = low.shape;
  const columns = wide.shape[1];
  const inVectors = columns % 4 === 0;
  return runProgram({
    key: `lora outer ${turned} ${inVectors}`,
    write: { y: turned ? [columns, r] : [r, columns] }, read: { low, wide }, types: typesOf({ wide: columns }),
    integers: { rows, r, columns },
    workgroups: { count: Math.ceil(columns / (4 * ACROSS)) * Math.ceil(r / 4), size: ACROSS * TURNS },
    code: () => ({
      before: `var<workgroup> shares: array<mat4x4f, ${ACROSS * TURNS}>;
${fourOf('wide', 'columns', inVectors)}`,
      main: `
  let down = (p.r + 3) / 4;
  let first = group % down * 4;
  let column = (group / down * ${ACROSS} + local % ${ACROSS}) * 4;
  var sum: mat4x4f; // a vector of columns for each of four of r
  for (var row = local / ${ACROSS}; row < p.rows; row += ${TURNS}) {
    let v = wide4(row, column);
    for (var i = 0u; i < 4; i++) { sum[i] += low[row * p.r + min(first + i, p.r - 1)] * v; }
  }
  shares[local] = sum;
  workgroupBarrier();
  if (local >= ${ACROSS}) { return; }
  for (var turn = 1u; turn < ${TURNS}; turn++) { sum += shares[local + turn * ${ACROSS}]; }
  for (var i = 0u; i < 4; i++) {
    for (var c = 0u; c < 4; c++) {
      if (first + i < p.r && column + c < p.columns) {
        y[${turned ? '(column + c) * p.r + first + i' : '(first + i) * p.columns + column + c'}] = sum[i][c];
      }
    }
  }`,
    }),
  })[0] as Tensor2D;
}
