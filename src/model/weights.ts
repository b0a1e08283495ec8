import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { byteLength } from '../quant/quantize.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { outside } from '../tensor/graph.ts';
import { gatherRows, linear } from '../tensor/ops.ts';
import { QuantizedMatrix } from '../tensor/quantized.ts';
import { FrozenMatrix } from '../tensor/rows.ts';

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
  /** Of a matrix, W: (out, in), rows by index. ids: int32 (n) → (n, in). */
  rows(ids: Tensor1D): Tensor2D;
  dispose(): void;
}

/** A frozen weight held in float32. */
export class DenseWeight implements Weight {
  readonly shape: readonly number[];
  readonly trainable = false;
  readonly bytes: number;
  private readonly held: Tensor | FrozenMatrix;

  constructor(values: Float32Array, shape: readonly number[]) {
    this.shape = shape;
    this.bytes = 4 * values.length;
    this.held = shape.length === 2
      ? new FrozenMatrix(values, shape as [number, number]) : tf.keep(tf.tensor(values, [...shape]));
  }

  tensor(): Tensor {
    const { held } = this;
    return held instanceof FrozenMatrix ? held.tensor() : outside(() => held);
  }

  linear(x: Tensor2D): Tensor2D {
    return (this.held as FrozenMatrix).linear(x);
  }

  rows(ids: Tensor1D): Tensor2D {
    return (this.held as FrozenMatrix).rows(ids);
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
    return this.quantized.shape;
  }

  get bytes(): number {
    return byteLength(this.quantized);
  }

  tensor(): Tensor {
    return this.matrix.wide();
  }

  linear(x: Tensor2D): Tensor2D {
    return this.matrix.linear(x);
  }

  rows(ids: Tensor1D): Tensor2D {
    return gatherRows(this.tensor() as Tensor2D, ids);
  }

  dispose(): void {
    this.matrix.dispose();
  }
}

/**
 * A weight that is being trained. The host's copy is the master; the optimizer changes it
 * and `upload` puts it on the device. Where it is sharded (src/distributed), the copy comes and goes.
 */
export class Parameter implements Weight {
  readonly trainable = true;
  private device: Tensor | undefined;

  constructor(readonly name: string, public values: Float32Array, readonly shape: readonly number[]) {}

  get bytes(): number {
    return this.values.byteLength;
  }

  tensor(): Tensor {
    return outside(() => this.device ??= tf.keep(tf.tensor(this.values, [...this.shape])));
  }

  linear(x: Tensor2D): Tensor2D {
    return linear(x, this.tensor() as Tensor2D, true);
  }

  rows(ids: Tensor1D): Tensor2D {
    return gatherRows(this.tensor() as Tensor2D, ids);
  }

  /** Takes other values. */
  assign(values: ArrayLike<number>): void {
    this.values.set(values);
    this.upload();
  }

  /** To be called when `values` have changed. */
  upload(): void {
    this.dispose();
  }

  dispose(): void {
    this.device?.dispose();
    this.device = undefined;
  }
}
