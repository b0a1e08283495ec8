import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { CODEBOOKS, DYNAMIC_MAP } from '../../quant/codebooks.ts';
import { rowParts } from '../../quant/parts.ts';
import type { QuantizedTensor } from '../../quant/quantize.ts';
import { outside } from '../outside.ts';
import { bindingBytes } from './device.ts';
import { multiply } from './matmul.ts';

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
    return multiply(x as Tensor2D, false, { rows: x.shape[0]!, columns, depth }, {
      key: `4 bits ${double} ${transpose}`, along: transpose ? 'k' : 'n',
      read: {
        packed: outside(() => this.packed), scales: outside(() => this.scales), tables: outside(() => this.tables),
      },
      types: { packed: 'u32', ...(double && { scales: 'u32' }) },
      integers: { input, output: out, shift: Math.log2(blockSize) }, floats: { offset: double ? absmax.offset : 0 },
      // The codebook lies at hand: its 16 values are in as many banks, and are never waited for.
      setup: `
  if (local < 16) { book[local] = tables[local]; }
  workgroupBarrier();`,
      // Eight weights of a row lie in a word, high nibble first in each byte, four in half of it; they share a scale.
      paired: input % 8 === 0,
      code: (vectors, half) => `var<workgroup> book: array<f32, 16>;
struct Fetched { bits: u32, ${double ? 'code: u32, nested: f32' : 'scale: f32'} }
fn fetched(k: u32, n: u32) -> Fetched {
  let row = min(${transpose ? 'n' : 'k'}, p.output - 1);
  let column = min(${transpose ? 'k' : 'n'}, p.input - ${4 * vectors});
  let at = row * p.input + column;
  let block = at >> p.shift;
  let bits = packed[at / 8]${vectors === 2 ? '' : ' >> ((at & 4) * 4)'};
  return Fetched(bits, ${double ? '(scales[block / 4] >> ((block & 3) * 8)) & 255, tables[272 + block / 256]' : 'scales[block]'});
}
fn numbers(f: Fetched, vector: u32) -> vec4f {
  let bits = f.bits >> (vector * 16);
  let scale = ${double ? 'tables[16 + f.code] * f.nested' : 'f.scale'} + p.offset;
  return ${half ? 'clamp(scale, -65504, 65504)' : 'scale'} * vec4f(
    book[(bits >> 4) & 15], book[bits & 15], book[(bits >> 12) & 15], book[(bits >> 8) & 15]);
}`,
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
