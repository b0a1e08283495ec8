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

/** How the right matrix, B, is read. */
export interface Right {
  readonly key: string;
  /** `fn column4(k, n) -> vec4f`: B[k .. k + 4][n]; or `fn row4(k, n) -> vec4f`: B[k][n .. n + 4]. */
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
  const fn = transposeB ? 'column4' : 'row4';
  if ((transposeB ? depth : columns) % 4 === 0) {
    // Whole vectors, by one read each. What is asked for past the last is another, of no consequence.
    const at = transposeB ? 'min(n, p.columns - 1) * p.depth + k' : 'min(k, p.depth - 1) * p.columns + n';
    return multiply(a, transposeA, { rows, columns, depth }, {
      key: `dense vectors ${transposeB}`, along: transposeB ? 'k' : 'n', read: { b }, types: { b: 'vec4f' },
      code: `fn ${fn}(k: u32, n: u32) -> vec4f { return b[(${at}) / 4]; }`,
    });
  }
  const [k, n] = transposeB ? ['k + i', 'n'] : ['k', 'n + i'];
  return multiply(a, transposeA, { rows, columns, depth }, {
    key: `dense ${transposeB}`, along: transposeB ? 'k' : 'n', read: { b },
    code: `fn ${fn}(k: u32, n: u32) -> vec4f {
  var v = vec4f();
  for (var i = 0u; i < 4; i++) {
    if (${k} < p.depth && ${n} < p.columns) { v[i] = b[${transposeB ? `(${n}) * p.depth + ${k}` : `(${k}) * p.columns + ${n}`}]; }
  }
  return v;
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
    key: `matmul ${form.key} ${transposeA} ${vectors} ${right.key}`, half: form.half, units: form.units,
    write: { y: [rows, columns] }, read: { a, ...right.read, ...(rowScales && { rowScales }) },
    types: { ...right.types, ...(vectors && { a: 'vec4f' }) },
    integers: { rows, columns, depth, ...right.integers }, floats: right.floats ?? {},
    workgroups: { count: Math.ceil(rows / form.rows) * Math.ceil(columns / form.columns), size: form.threads },
    code: () => ({
      before: `${right.code}
fn left(m: u32, k: u32) -> vec4f {
${vectors ? `  if (k >= p.depth) { return vec4f(); }
  return a[(min(m, p.rows - 1) * p.depth + k) / 4]${scaled ? ' * rowScales[min(m, p.rows - 1)]' : ''};` : `  var v = vec4f();
  if (m >= p.rows) { return v; }
  for (var i = 0u; i < 4; i++) { if (k + i < p.depth) { v[i] = a[${at}]; } }
  return v${scaled ? ' * rowScales[m]' : ''};`}
}
${form.before}`,
      main: `${right.setup ?? ''}${form.main}`,
    }),
  });
  rowScales?.dispose();
  return y as Tensor2D;
}
