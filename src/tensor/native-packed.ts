import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { CODEBOOKS, DYNAMIC_MAP } from '../quant/codebooks.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { outside } from './graph.ts';
import { cast, execute, gather, heldTensor, nodeBackend, onGpu, reshape, slice, types } from './native.ts';

let asked = false;

/** From now on native TensorFlow keeps 4-bit matrices packed on the processor, too, as it does on a GPU. */
export function keepPacked(on: boolean): void {
  asked = on;
}

/** Whether matrices of 4 bits lie packed in the memory of native TensorFlow's device: on a GPU, or where asked for. */
export function isKeptPacked({ shape, blockSize }: QuantizedTensor): boolean {
  return tf.getBackend() === 'tensorflow' && (asked || onGpu()) && sizeOf(shape) % blockSize === 0;
}

/**
 * A 4-bit matrix, W: (out, in), in the memory of native TensorFlow's device, and made wide there by TensorFlow's own
 * operations, to the last bit as by ../quant: wide, it never crosses the bus to a GPU. None of them is on the tape; in
 * a graph they are part of it.
 */
export class PackedMatrix {
  private readonly size: number;
  private readonly blocks: number;
  /** uint8 (size / 2) */
  private readonly packed: Tensor;
  /** What a byte stands for, high nibble first: (256, 2). */
  private readonly pairs: Tensor;
  /** float32 (blocks); or in double quantisation uint8 codes, filled up to whole blocks of their own. */
  private readonly scales: Tensor;
  private readonly nested: { readonly map: Tensor; readonly absmax: Tensor; readonly offset: Tensor } | undefined;

  constructor(private readonly quantized: QuantizedTensor) {
    const { shape, blockSize, packed, absmax, quantType } = quantized;
    this.size = sizeOf(shape);
    this.blocks = this.size / blockSize;
    const book = CODEBOOKS[quantType];
    this.packed = bytesOnDevice(packed);
    this.pairs = kept(Float32Array.from({ length: 512 }, (_, i) =>
      book[i % 2 === 0 ? i >> 5 : i >> 1 & 15] ?? 0), [256, 2]);
    if (absmax instanceof Float32Array) {
      this.scales = kept(absmax, [this.blocks]);
    } else {
      const codes = new Uint8Array(absmax.nestedAbsmax.length * absmax.blockSize);
      codes.set(absmax.codes);
      this.scales = bytesOnDevice(codes);
      this.nested = {
        map: kept(DYNAMIC_MAP, [256]),
        absmax: kept(absmax.nestedAbsmax, [absmax.nestedAbsmax.length, 1]),
        offset: kept(Float32Array.of(absmax.offset), [1]),
      };
    }
  }

  /** In float32, (out, in). */
  wide(): Tensor {
    return tf.tidy(() => {
      const { blockSize, shape } = this.quantized;
      const values = taken(this.pairs, this.packed); // (size / 2, 2)
      const scaled = multiplied(
        reshaped(values, [this.blocks, blockSize]), reshaped(this.wideScales(), [this.blocks, 1]));
      return reshaped(scaled, shape);
    });
  }

  /** In bfloat16, two values in a word: int32 (out, in / 2). */
  widePairs(): Tensor2D {
    return tf.tidy(() => {
      const [out, input] = this.quantized.shape as [number, number];
      const pairs = reshape(cast(this.wide(), 'float32', 'bfloat16'), 'bfloat16', [out, input / 2, 2]);
      return execute('Bitcast', { T: 'bfloat16', type: 'int32' }, [pairs]) as Tensor2D;
    });
  }

  /** (blocks): plain, or map[code] · absmax + offset, float32 at every step. */
  private wideScales(): Tensor {
    if (!this.nested) return outside(() => this.scales);
    const { map, absmax, offset } = this.nested;
    const [count] = absmax.shape as [number, number];
    const centred = multiplied(
      reshaped(taken(map, this.scales), [count, this.scales.size / count]), outside(() => absmax));
    const sums = execute('AddV2', { T: 'float32' }, [centred, outside(() => offset)]);
    const all = reshaped(sums, [this.scales.size]);
    return all.size === this.blocks ? all
      : slice(all, 'float32', [0], [this.blocks]);
  }

  dispose(): void {
    tf.dispose([this.packed, this.pairs, this.scales, ...Object.values(this.nested ?? {})]);
  }
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Rows of a table by the bytes given: (256, …), uint8 (n) → (n, …). */
function taken(table: Tensor, bytes: Tensor): Tensor {
  const rows = cast(outside(() => bytes), 'uint8', 'int32');
  return gather(outside(() => table), 'float32', rows);
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
