import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { outside } from '../tensor/outside.ts';
import { linear } from '../tensor/linear.ts';
import { gatherRows } from '../tensor/ops.ts';
import type { Update } from '../tensor/linear.ts';
import { QuantizedMatrix } from '../tensor/quantized.ts';
import { readAll } from '../tensor/read.ts';
import { FrozenMatrix } from '../tensor/frozen.ts';

/** A weight of the model: something that can be had as a float32 tensor when a block needs it. */
export interface Weight {
  readonly shape: readonly number[];
  /** Bytes held between uses. */
  readonly bytes: number;
  readonly trainable: boolean;
  /** The tensor. Called inside `tf.tidy`: what is made for the occasion goes with it. */
  tensor(): Tensor;
  /** Of a matrix, W: (out, in), its linear layer: x · Wᵀ. x: (rows, in) → (rows, out). */
  linear(x: Tensor2D): Tensor2D;
  /** The same and LoRA's update, where both can be one operation. */
  linearWithUpdate?(x: Tensor2D, update: Update): Tensor2D;
  /** Of a matrix, W: (out, in), rows by index. ids: int32 (n) → (n, in). */
  rows(ids: Tensor1D): Tensor2D;
  dispose(): void;
}

/** A frozen weight held as wide as it was, or in float32. */
export class DenseWeight implements Weight {
  readonly trainable = false;
  private readonly held: Tensor | FrozenMatrix;

  /** @param values numbers; of a matrix also the bits of such of bfloat16 (see `FrozenMatrix`) */
  constructor(values: Float32Array | Uint16Array, readonly shape: readonly number[]) {
    this.held = shape.length === 2
      ? new FrozenMatrix(values, shape as [number, number]) : tf.keep(tf.tensor(values, [...shape]));
  }

  get bytes(): number {
    return this.held instanceof FrozenMatrix ? this.held.bytes : 4 * this.held.size;
  }

  /** The matrix that it is. @throws TypeError of a norm or a bias */
  get matrix(): FrozenMatrix {
    if (this.held instanceof FrozenMatrix) return this.held;
    throw new TypeError(`A weight of shape [${this.shape.join(', ')}] is no matrix`);
  }

  tensor(): Tensor {
    const { held } = this;
    return held instanceof FrozenMatrix ? held.tensor() : outside(() => held);
  }

  linear(x: Tensor2D): Tensor2D {
    return this.matrix.linear(x);
  }

  rows(ids: Tensor1D): Tensor2D {
    return this.matrix.rows(ids);
  }

  dispose(): void {
    this.held.dispose();
  }
}

/** A frozen weight held in 4 bits; where it has to be wide, it is only while the block that asked for it runs. */
export class QuantizedWeight implements Weight {
  readonly trainable = false;
  private readonly matrix: QuantizedMatrix;

  constructor(quantized: QuantizedTensor) {
    this.matrix = new QuantizedMatrix(quantized);
  }

  get quantized(): QuantizedTensor {
    return this.matrix.quantized;
  }

  get shape(): readonly number[] {
    return this.matrix.shape;
  }

  get bytes(): number {
    return this.matrix.bytes;
  }

  tensor(): Tensor {
    return this.matrix.wide();
  }

  linear(x: Tensor2D): Tensor2D {
    return this.matrix.linear(x);
  }

  linearWithUpdate(x: Tensor2D, update: Update): Tensor2D {
    return this.matrix.linearWithUpdate(x, update);
  }

  rows(ids: Tensor1D): Tensor2D {
    return gatherRows(this.tensor() as Tensor2D, ids);
  }

  dispose(): void {
    this.matrix.dispose();
  }
}

/**
 * A weight that is being trained. An optimizer on the host changes `values`, and `upload` lets the device have them;
 * one on the device changes the tensor, and says so by `changed`. Where it is sharded (src/distributed), the host's
 * copy comes and goes.
 */
export class Parameter implements Weight {
  readonly trainable = true;
  /** Goes up whenever the values change: what was made of others is out of date. */
  version = 0;
  private device: Tensor | undefined;
  /** Whether the device's copy has changed since it was last read. */
  private isBehind = false;

  constructor(readonly name: string, private host: Float32Array, readonly shape: readonly number[]) {}

  get bytes(): number {
    return this.host.byteLength;
  }

  /** The host's copy; if it is behind the device's, that is read first and waited for (see `settle`). */
  get values(): Float32Array {
    if (this.isBehind) this.take(this.device!.dataSync<'float32'>());
    return this.host;
  }

  set values(values: Float32Array) {
    this.host = values;
    this.isBehind = false;
    this.version++;
  }

  tensor(): Tensor {
    return outside(() => this.device ??= tf.keep(tf.tensor(this.host, [...this.shape])));
  }

  linear(x: Tensor2D): Tensor2D {
    return linear(x, this.tensor() as Tensor2D, true);
  }

  rows(ids: Tensor1D): Tensor2D {
    return gatherRows(this.tensor() as Tensor2D, ids);
  }

  /** Takes other values. */
  assign(values: ArrayLike<number>): void {
    this.host.set(values);
    this.upload();
  }

  /** To be called when `values` have changed: the device's copy, whatever it has, is out of date. */
  upload(): void {
    this.dispose();
    this.version++;
  }

  /** To be called when the tensor's own content has changed: the host's copy is out of date. */
  changed(): void {
    this.isBehind = true;
    this.version++;
  }

  /** The tensor, where the host's copy is behind it. */
  get ahead(): Tensor | undefined {
    return this.isBehind ? this.device : undefined;
  }

  /** What has been read of the tensor, in the same array as before. */
  take(values: Float32Array): void {
    this.host.set(values);
    this.isBehind = false;
  }

  dispose(): void {
    this.device?.dispose();
    this.device = undefined;
    this.isBehind = false;
  }
}

/** Brings the host's copies of parameters up to what the device has made of them, all by one wait. */
export async function settle(parameters: readonly Parameter[]): Promise<void> {
  const behind = parameters.filter(({ ahead }) => ahead);
  const read = await readAll(behind.map(({ ahead }) => ahead!));
  behind.forEach((parameter, i) => parameter.take(read[i]!));
}
