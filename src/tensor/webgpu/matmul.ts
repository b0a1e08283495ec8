import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { inHalf } from './form.ts';
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
   * `Fetched`, a type; `fn fetched(k, n) -> Fetched`, which reads memory, so many vectors of four at once; and
   * `fn numbers(f: Fetched, vector: u32) -> vec4f`, one of them: B[k .. k + 4][n], or along n B[k][n .. n + 4]. Of
   * those past an edge any will do that B has: past the depth a has zeros, and past the last column nobody asks for
   * the product. For float16 they are within what it can hold.
   */
  readonly code: (vectors: 1 | 2, half: boolean) => string;
  /** Whether two vectors at once can be read as well. */
  readonly paired?: boolean;
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
    code: (_, half) => `alias Fetched = vec4f;
fn numbers(f: Fetched, vector: u32) -> vec4f { return ${half ? inHalf('f') : 'f'}; }
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
    ? byUnits(unit, unitTileFor(rows, columns), right.along, { scaled, paired: right.paired ?? false })
    : byTiles(tileFor(rows, columns), right.along, halfPrecision());
  const rowScales = scaled ? rowScalesOf(a) : undefined;
  const inVectors = !transposeA && depth % 4 === 0;
  const whole = depth % form.depth === 0; // the last part of the depth is as deep as the others
  const [y] = runProgram({
    key: `matmul ${form.key} ${transposeA} ${inVectors} ${whole} ${right.key}`, half: form.half, ...(form.lanes && { lanes: form.lanes }),
    write: { y: [rows, columns] }, read: { a, ...right.read, ...(rowScales && { rowScales }) },
    types: { ...right.types, ...(inVectors && { a: 'vec4f' }) },
    integers: { rows, columns, depth, ...right.integers }, floats: right.floats ?? {},
    workgroups: { count: Math.ceil(rows / form.rows) * Math.ceil(columns / form.columns), size: form.threads },
    code: () => ({
      before: `${right.code(form.vectors, form.half)}
fn leftRow(m: u32) -> u32 { return min(m, p.rows - 1)${transposeA ? '' : inVectors ? ' * (p.depth / 4)' : ' * p.depth'}; }
fn left(row: u32, k: u32) -> vec4f {
${leftCode(transposeA, inVectors, whole)}
}
${form.before}`,
      main: `${right.setup ?? ''}${form.main}`,
    }),
  });
  rowScales?.dispose();
  return y as Tensor2D;
}

/** Four numbers of a's row, zeros past its end. */
function leftCode(transposed: boolean, inVectors: boolean, whole: boolean): string {
  if (inVectors) {
    return whole ? '  return a[row + k / 4];' : '  return select(vec4f(), a[row + min(k, p.depth - 4) / 4], k < p.depth);';
  }
  return `  var v = vec4f();
  for (var i = 0u; i < 4; i++) { if (k + i < p.depth) { v[i] = a[${transposed ? '(k + i) * p.rows + row' : 'row + k + i'}]; } }
  return v;`;
}
