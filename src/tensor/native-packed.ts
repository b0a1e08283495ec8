import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { CODEBOOKS, DYNAMIC_MAP } from '../quant/codebooks.ts';
import { byteLength } from '../quant/quantize.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { outside } from './outside.ts';
import { cast, execute, gather, hasOurs, hasTiles, heldTensor, nodeBackend, onGpu, reshape, slice, types } from './native.ts';

/**
 * What makes matrices of 4 bits wide on native TensorFlow: operations of ours (native/dequantize.cc) on the processor,
 * TensorFlow's own on a GPU, and the host where the binding has none of ours, as one set up `--from google`.
 */
export type Widening = 'ours' | 'tensorflow' | 'host';

let found: Widening | undefined;

/** For tests: from now on by this one, or undefined for the one that should be. */
export function useWidening(widening: Widening | undefined): void {
  found = widening;
}

function widening(): Widening {
  if (onGpu()) return 'tensorflow';
  return found ??= hasOurs() ? 'ours' : 'host';
}

/** Whether matrices of 4 bits lie packed in native TensorFlow's memory. */
export function isKeptPacked({ shape, blockSize }: QuantizedTensor): boolean {
  return tf.getBackend() === 'tensorflow' && widening() !== 'host' && sizeOf(shape) % blockSize === 0;
}

/**
 * A 4-bit matrix, W: (out, in), in the memory of native TensorFlow's device, and made wide there, to the last bit as by
 * ../quant. None of the operations is on the tape; in a graph they are part of it.
 */
export class PackedMatrix {
  /** uint8 (size / 2) */
  private readonly packed: Tensor;
  /** What a nibble stands for, (16), for operations of ours; or what a byte does, high nibble first: (256, 2). */
  private readonly table: Tensor;
  /** float32 (blocks); or in double quantisation uint8 codes, filled up to whole blocks of their own. */
  private readonly scales: Tensor;
  private readonly nested: { readonly map: Tensor; readonly absmax: Tensor; readonly offset: Tensor } | undefined;
  /** All of it but its arrays. */
  private readonly form: Omit<QuantizedTensor, 'packed' | 'absmax'>;
  private readonly blocks: number;
  readonly bytes: number;
  /** Whether `product` can be had, which multiplies in bfloat16. */
  readonly multiplies: boolean;

  constructor(quantized: QuantizedTensor) {
    const { shape, blockSize, packed, absmax, quantType } = quantized;
    this.form = { shape, blockSize, quantType };
    this.blocks = sizeOf(shape) / blockSize;
    this.bytes = byteLength(quantized);
    this.multiplies = widening() === 'ours' && shape.length === 2 && shape[1]! % blockSize === 0 && hasTiles();
    this.packed = bytesOnDevice(packed);
    const codes = Float32Array.from({ length: 16 }, (_, code) => CODEBOOKS[quantType][code] ?? 0);
    this.table = widening() === 'ours'
      ? kept(codes, [16])
      : kept(Float32Array.from({ length: 512 }, (_, i) => codes[i % 2 === 0 ? i >> 5 : i >> 1 & 15]!), [256, 2]);
    if (absmax instanceof Float32Array) {
      this.scales = kept(absmax, [this.blocks]);
    } else {
      const filled = new Uint8Array(absmax.nestedAbsmax.length * absmax.blockSize);
      filled.set(absmax.codes);
      this.scales = bytesOnDevice(filled);
      this.nested = {
        map: kept(DYNAMIC_MAP, [256]),
        absmax: kept(absmax.nestedAbsmax, [absmax.nestedAbsmax.length]),
        offset: kept(Float32Array.of(absmax.offset), [1]),
      };
    }
  }

  /** Read back. */
  get quantized(): QuantizedTensor {
    const { form, packed, scales, nested } = this;
    if (!nested) return { ...form, packed: readBytes(packed), absmax: scales.dataSync<'float32'>() };
    const blockSize = scales.size / nested.absmax.size;
    return {
      ...form, packed: readBytes(packed),
      absmax: {
        codes: readBytes(scales).subarray(0, this.blocks), nestedAbsmax: nested.absmax.dataSync<'float32'>(),
        offset: nested.offset.dataSync<'float32'>()[0]!, blockSize,
      },
    };
  }

  get shape(): readonly number[] {
    return this.form.shape;
  }

  /**
   * x · Wᵀ if `transposed`, or else x · W, from the 4 bits: (rows, in) → (rows, out), or the other way. With `update`,
   * low · secondᵀ is added, or low · second. low: (rows, r), second: (out, r), or (r, in).
   */
  product(x: Tensor, transposed: boolean, update: [] | [low: Tensor, second: Tensor] = []): Tensor2D {
    const { blockSize, shape: [rows, columns] } = this.form;
    const attributes = { rows: rows!, columns: columns!, block_size: blockSize, transposed, N: update.length };
    return tf.tidy(() => execute('PackedProduct', attributes,
      [x, outside(() => this.packed), outside(() => this.table), this.wideScales(), ...update])) as Tensor2D;
  }

  /** In float32, (out, in), or in bfloat16. Called inside `tf.tidy`. */
  wide(dtype: 'float32' | 'bfloat16' = 'float32'): Tensor2D {
    const { blockSize, shape } = this.form;
    const [packed, table] = [outside(() => this.packed), outside(() => this.table)];
    if (widening() === 'ours') {
      const attributes = { T: dtype, block_size: blockSize } as const;
      return reshape(execute('DequantizeBlocks', attributes, [packed, table, this.wideScales()]), dtype, shape) as Tensor2D;
    }
    const values = taken(table, packed); // (size / 2, 2)
    const scales = slice(this.wideScales(), 'float32', [0], [this.blocks]);
    const wide = reshaped(
      multiplied(reshaped(values, [this.blocks, blockSize]), reshaped(scales, [this.blocks, 1])), shape);
    return (dtype === 'float32' ? wide : cast(wide, 'float32', 'bfloat16')) as Tensor2D;
  }

  /** (blocks or more): plain, or map[code] · absmax + offset, float32 at every step. */
  private wideScales(): Tensor {
    const scales = outside(() => this.scales);
    if (!this.nested) return scales;
    const { map, absmax, offset } = this.nested;
    const [values, factors, mean] = [outside(() => map), outside(() => absmax), outside(() => offset)];
    if (widening() === 'ours') return execute('DequantizeScales', {}, [scales, values, factors, mean]);
    const count = absmax.size;
    const centred = multiplied(
      reshaped(taken(values, scales), [count, scales.size / count]), reshaped(factors, [count, 1]));
    return reshaped(execute('AddV2', { T: 'float32' }, [centred, mean]), [scales.size]);
  }

  dispose(): void {
    tf.dispose([this.packed, this.table, this.scales, ...Object.values(this.nested ?? {})]);
  }
}

/** Rows of a table by the bytes given: (256, …), uint8 (n) → (n, …). */
function taken(table: Tensor, bytes: Tensor): Tensor {
  return gather(table, 'float32', cast(bytes, 'uint8', 'int32'));
}

function multiplied(a: Tensor, b: Tensor): Tensor {
  return execute('Mul', { T: 'float32' }, [a, b]);
}

function reshaped(x: Tensor, shape: readonly number[]): Tensor {
  return reshape(x, 'float32', shape);
}

/** At once in the device's memory. */
function kept(values: Float32Array, shape: readonly number[]): Tensor {
  const tensor = tf.keep(tf.tensor(values, [...shape]));
  nodeBackend().getInputTensorIds([tensor]);
  return tensor;
}

/** The same as uint8, a type that TensorFlow.js does not have: only the operations here may take it. */
function bytesOnDevice(bytes: Uint8Array): Tensor {
  const backend = nodeBackend();
  const id = backend.binding.createTensor([bytes.length], types.uint8, bytes);
  return tf.keep(heldTensor(backend, types.uint8, [bytes.length], id));
}

/** The bytes again; a multiple of four of them, for TensorFlow.js reads no uint8. */
function readBytes(bytes: Tensor): Uint8Array {
  const words = tf.tidy(() => execute('Bitcast', { T: 'uint8', type: 'int32' }, [reshape(bytes, 'uint8', [bytes.size / 4, 4])])
    .dataSync<'int32'>());
  return new Uint8Array(words.buffer, words.byteOffset, bytes.size);
}
