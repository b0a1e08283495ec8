import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { CODEBOOKS, DYNAMIC_MAP } from '../../quant/codebooks.ts';
import { rowParts } from '../../quant/parts.ts';
import type { QuantizedTensor } from '../../quant/quantize.ts';
import { bindingBytes } from './device.ts';
import { each, runProgram } from './program.ts';
import { halfPrecision, threadsOf, tileFor } from './tiles.ts';
import type { Tile } from './tiles.ts';

interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

interface Right {
  readonly key: string;
  /** `fn column4(k, n) -> vec4f`: B[k .. k + 4][n]; or `fn row4(k, n) -> vec4f`: B[k][n .. n + 4]. */
  readonly code: string;
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
 * In half precision weights and activations are rounded to float16, which has a bit or two more than 4-bit weights
 * have noise; gradients, of which many are smaller than its smallest, are not. Those come from the left, by matrices
 * that are not transposed.
 */
function multiply(a: Tensor, transposeA: boolean, { rows, columns, depth }: Shape, right: Right): Tensor2D {
  const tile = tileFor(rows, columns);
  const half = halfPrecision();
  const types: Types = { left: half && right.along === 'k' ? 'vec4h' : 'vec4f', right: half ? 'vec4h' : 'vec4f' };
  const at = transposeA ? '(k + i) * p.rows + m' : 'm * p.depth + k + i';
  const vectors = !transposeA && depth % 4 === 0;
  return runProgram({
    key: `matmul ${Object.values(tile).join(' ')} ${transposeA} ${vectors} ${right.key}${half ? ' half' : ''}`, half,
    write: { y: [rows, columns] }, read: { a, ...right.read }, types: { ...right.types, ...(vectors && { a: 'vec4f' }) },
    integers: { rows, columns, depth, ...right.integers }, floats: right.floats ?? {},
    workgroups: { count: Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns), size: threadsOf(tile) },
    code: () => ({
      before: `${right.code}
fn left(m: u32, k: u32) -> vec4f {
${vectors ? `  if (k >= p.depth) { return vec4f(); }
  return a[(min(m, p.rows - 1) * p.depth + k) / 4];` : `  var v = vec4f();
  if (m >= p.rows) { return v; }
  for (var i = 0u; i < 4; i++) { if (k + i < p.depth) { v[i] = a[${at}]; } }
  return v;`}
}
${shared(tile, types)}`,
      main: tiled(tile, right.along, types),
    }),
  })[0] as Tensor2D;
}

/** Of a tile's elements. */
interface Types {
  readonly left: 'vec4f' | 'vec4h';
  readonly right: 'vec4f' | 'vec4h';
}

/** A workgroup's part of a, in vectors of four rows, and of b, in vectors of four columns, by k. */
const shared = ({ rows, columns, depth }: Tile, { left, right }: Types) => `
var<workgroup> lefts: array<${left}, ${depth * rows / 4}>;
var<workgroup> rights: array<${right}, ${depth * columns / 4}>;`;

/** A vector as a tile has it: what float16 cannot hold becomes the most that it can. */
const narrowed = (type: Types['left'], v: string) =>
  (type === 'vec4h' ? `vec4h(clamp(${v}, vec4f(-65504), vec4f(65504)))` : v);

/** What a workgroup does: it fetches a part of both, each number once, and multiplies it, until all of k has been. */
function tiled(tile: Tile, along: 'k' | 'n', types: Types): string {
  const { rows, columns, depth, high } = tile;
  const [threads, across, down] = [threadsOf(tile), columns / 4, rows / 4]; // vectors of the tile in both directions
  /** Four vectors along k become four along the other side. Loops, which software adapters compile in half the time. */
  const turned = (into: string, type: Types['left'], vectors: number, from: string) => `
    for (var unit = local; unit < ${vectors * depth / 4}; unit += ${threads}) {
      let k = unit % ${depth / 4} * 4;
      let place = unit / ${depth / 4};
      var v: mat4x4f;
      for (var i = 0u; i < 4; i++) { v[i] = ${from}; }
      v = transpose(v);
      for (var i = 0u; i < 4; i++) { ${into}[(k + i) * ${vectors} + place] = ${narrowed(type, 'v[i]')}; }
    }`;
  return `
  let across = (p.columns + ${columns - 1}) / ${columns};
  let m0 = group / across * ${rows};
  let n0 = group % across * ${columns};
  let own = local / ${across};
  let column = local % ${across};
${each(4 * high, (i) => `  var sum${i} = vec4f();`)}
  for (var k0 = 0u; k0 < p.depth; k0 += ${depth}) {
${turned('lefts', types.left, down, 'left(m0 + place * 4 + i, k0 + k)')}
${along === 'n' ? `    for (var unit = local; unit < ${across * depth}; unit += ${threads}) {
      rights[unit] = ${narrowed(types.right, `row4(k0 + unit / ${across}, n0 + unit % ${across} * 4)`)};
    }` : turned('rights', types.right, across, 'column4(k0 + k, n0 + place * 4 + i)')}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}; k++) {
      let b = vec4f(rights[k * ${across} + column]);
${each(high, (h) => `      let a${h} = vec4f(lefts[k * ${down} + own * ${high} + ${h}]);
${each(4, (i) => `      sum${4 * h + i} += a${h}[${i}] * b;`)}`)}
    }
    workgroupBarrier();
  }
  let m = m0 + own * ${4 * high};
  let n = n0 + column * 4;
${each(4 * high, (i) => `  if (m + ${i} < p.rows) {
    for (var j = 0u; j < 4; j++) { if (n + j < p.columns) { y[(m + ${i}) * p.columns + n + j] = sum${i}[j]; } }
  }`)}`;
}

/** A 4-bit matrix, W: (out, in), in the device's memory; in parts of some rows where a kernel cannot be given all. */
export class DeviceMatrix {
  private readonly parts: readonly { readonly matrix: Part; readonly first: number; readonly rows: number }[];

  constructor(quantized: QuantizedTensor) {
    let first = 0;
    this.parts = rowParts(quantized, bindingBytes()).map((part) => {
      const rows = part.shape[0]!;
      first += rows;
      return { matrix: new Part(part), first: first - rows, rows };
    });
  }

  /** x · Wᵀ, or without `transpose` x · W. x: (rows, in or out). */
  product(x: Tensor, transpose: boolean): Tensor2D {
    if (this.parts.length === 1) return this.parts[0]!.matrix.product(x, transpose);
    return tf.tidy(() => {
      if (transpose) return tf.concat(this.parts.map(({ matrix }) => matrix.product(x, true)), 1); // (rows, out)
      return tf.addN(this.parts.map(({ matrix, first, rows }) =>
        matrix.product(tf.slice(x, [0, first], [-1, rows]), false)));
    });
  }

  dispose(): void {
    this.parts.forEach(({ matrix }) => matrix.dispose());
  }
}

/** As it is: packed values, and scales quantised once more. */
class Part {
  private readonly packed: Tensor;
  private readonly scales: Tensor;
  /** The codebook's 16 values and, of double quantisation, the map's 256 and each 256 scales' own. */
  private readonly tables: Tensor;

  constructor(private readonly quantized: QuantizedTensor) {
    const { packed, absmax, quantType } = quantized;
    const book = Array.from({ length: 16 }, (_, i) => CODEBOOKS[quantType][i] ?? 0);
    this.packed = tf.keep(words(packed));
    this.scales = tf.keep(absmax instanceof Float32Array ? tf.tensor1d(absmax) : words(absmax.codes));
    this.tables = tf.keep(tf.tensor1d(
      absmax instanceof Float32Array ? book : [...book, ...DYNAMIC_MAP, ...absmax.nestedAbsmax]));
  }

  /** x · Wᵀ, or without `transpose` x · W. x: (rows, in or out). */
  product(x: Tensor, transpose: boolean): Tensor2D {
    const { shape, blockSize, absmax } = this.quantized;
    const [out, input] = shape as [number, number];
    const [columns, depth] = transpose ? [out, input] : [input, out];
    const double = !(absmax instanceof Float32Array);
    return multiply(x, false, { rows: x.shape[0]!, columns, depth }, {
      key: `4 bits ${double} ${transpose}`, along: transpose ? 'k' : 'n',
      read: { packed: this.packed, scales: this.scales, tables: this.tables },
      types: { packed: 'u32', ...(double && { scales: 'u32' }) },
      integers: { input, output: out, shift: Math.log2(blockSize) }, floats: { offset: double ? absmax.offset : 0 },
      // Four weights of a row lie in one half of a word, high nibble first in each byte, and share a scale.
      code: `fn weights(row: u32, column: u32) -> vec4f {
  if (row >= p.output || column >= p.input) { return vec4f(); }
  let at = row * p.input + column;
  let bits = packed[at / 8] >> ((at & 4) * 4);
  let block = at >> p.shift;
  let scale = ${double
    ? 'tables[16 + ((scales[block / 4] >> ((block & 3) * 8)) & 255)] * tables[272 + block / 256] + p.offset'
    : 'scales[block] + p.offset'};
  return scale * vec4f(
    tables[(bits >> 4) & 15], tables[bits & 15], tables[(bits >> 12) & 15], tables[(bits >> 8) & 15]);
}
${transpose
  ? 'fn column4(k: u32, n: u32) -> vec4f { return weights(n, k); }'
  : 'fn row4(k: u32, n: u32) -> vec4f { return weights(k, n); }'}`,
    });
  }

  dispose(): void {
    tf.dispose([this.packed, this.scales, this.tables]);
  }
}

/** Bytes as int32, the first in the lowest; zeros fill the last. */
function words(bytes: Uint8Array): Tensor {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return tf.tensor1d(new Int32Array(whole.buffer), 'int32');
}
