import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { runProgram } from './program.ts';
import { rowScalesOf } from './rows.ts';
import { byTiles } from './tiled.ts';
import { halfPrecision, tileFor, unitFor, unitTileFor } from './tiles.ts';
import { byUnits } from './units.ts';

interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

/**
 * How the right matrix, B, is read: four numbers at a time and in two steps, so that what comes from memory can be on
 * its way while the last ones are multiplied.
 */
export interface Right {
  readonly key: string;
  /**
   * `Fetched`, a type; `fn fetched(k, n) -> Fetched`, which reads memory; and `fn numbers(f: Fetched) -> vec4f`, which
   * are B[k .. k + 4][n], or along n B[k][n .. n + 4]. Of those past an edge any will do that B has: past the depth a
   * has zeros, and past the last column nobody asks for the product.
   */
  readonly code: string;
  /** What a workgroup does first. */
  readonly setup?: string;
  readonly along: 'k' | 'n';
  readonly read: Readonly<Record<string, Tensor>>;
  readonly types?: Readonly<Record<string, string>>;
  readonly integers?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
}

/** a · b of two matrices, either of them transposed first. */
export function matmul(a: Tensor2D, b: Tensor2D, { transposeA = false, transposeB = false } = {}): Tensor2D {
  const [rows, depth] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
  const columns = transposeB ? b.shape[0] : b.shape[1];
  const inVectors = (transposeB ? depth : columns) % 4 === 0;
  const at = transposeB ? 'row * p.depth + column' : 'row * p.columns + column';
  return multiply(a, transposeA, { rows, columns, depth }, {
    key: `dense ${inVectors} ${transposeB}`, along: transposeB ? 'k' : 'n', read: { b },
    types: inVectors ? { b: 'vec4f' } : {},
    code: `alias Fetched = vec4f;
fn numbers(f: Fetched) -> vec4f { return f; }
fn fetched(k: u32, n: u32) -> Fetched {
  let row = ${transposeB ? 'min(n, p.columns - 1)' : 'min(k, p.depth - 1)'};
  let first = ${transposeB ? 'k' : 'n'};
  let last = ${transposeB ? 'p.depth' : 'p.columns'} - 1;
${inVectors ? `  let column = min(first, last - 3);
  return b[(${at}) / 4];` : `  var v: vec4f;
  for (var i = 0u; i < 4; i++) {
    let column = min(first + i, last);
    v[i] = b[${at}];
  }
  return v;`}
}`,
  });
}

/**
 * In half precision weights and activations are rounded to float16, which has a bit or two more than 4-bit weights have
 * noise. Gradients, of which many are smaller than its smallest, come from the left, by matrices along n: tiles have
 * them in float32, and matrix units, which multiply nothing but float16, with a scale to each row.
 */
export function multiply(a: Tensor2D, transposeA: boolean, { rows, columns, depth }: Shape, right: Right): Tensor2D {
  const unit = transposeA ? undefined : unitFor(rows, columns);
  const scaled = unit?.element === 'f16' && right.along === 'n';
  const form = unit
    ? byUnits(unit, unitTileFor(rows, columns), right.along, scaled)
    : byTiles(tileFor(rows, columns), right.along, halfPrecision());
  const rowScales = scaled ? rowScalesOf(a) : undefined;
  const at = transposeA ? '(k + i) * p.rows + m' : 'm * p.depth + k + i';
  const vectors = !transposeA && depth % 4 === 0;
  const [y] = runProgram({
    key: `matmul ${form.key} ${transposeA} ${vectors} ${right.key}`, half: form.half, ...(form.lanes && { lanes: form.lanes }),
    write: { y: [rows, columns] }, read: { a, ...right.read, ...(rowScales && { rowScales }) },
    types: { ...right.types, ...(vectors && { a: 'vec4f' }) },
    integers: { rows, columns, depth, ...right.integers }, floats: right.floats ?? {},
    workgroups: { count: Math.ceil(rows / form.rows) * Math.ceil(columns / form.columns), size: form.threads },
    code: () => ({
      before: `${right.code}
fn left(m: u32, k: u32) -> vec4f {
${vectors ? `  if (k >= p.depth) { return vec4f(); }
  return a[(min(m, p.rows - 1) * p.depth + k) / 4];` : `  var v = vec4f();
  if (m >= p.rows) { return v; }
  for (var i = 0u; i < 4; i++) { if (k + i < p.depth) { v[i] = a[${at}]; } }
  return v;`}
}
${form.before}`,
      main: `${right.setup ?? ''}${form.main}`,
    }),
  });
  rowScales?.dispose();
  return y as Tensor2D;
}
