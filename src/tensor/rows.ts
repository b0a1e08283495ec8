import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { outside } from './graph.ts';
import { gatherRows, linear } from './ops.ts';
import { bindingBytes } from './webgpu/device.ts';

/** So many rows of so many bytes, in parts that a kernel can be given: one, but for large tensors on a GPU. */
export function rowRanges(rows: number, rowBytes: number): { readonly first: number; readonly count: number }[] {
  const most = Math.max(1, Math.min(rows, Math.floor(bindingBytes() / rowBytes)));
  return Array.from({ length: Math.max(1, Math.ceil(rows / most)) }, (_, part) =>
    ({ first: part * most, count: Math.min(most, rows - part * most) }));
}

/** A frozen matrix of float32, W: (out, in), in parts where a kernel cannot be given all of it. */
export class FrozenMatrix {
  private readonly parts: readonly { readonly held: Tensor2D; readonly first: number; readonly count: number }[];

  constructor(values: Float32Array, [out, input]: readonly [number, number]) {
    this.parts = rowRanges(out, 4 * input).map(({ first, count }) => ({
      first, count,
      held: tf.keep(tf.tensor2d(values.subarray(first * input, (first + count) * input), [count, input])),
    }));
  }

  /** The whole, which has to fit. */
  tensor(): Tensor2D {
    if (this.parts.length === 1) return outside(() => this.parts[0]!.held);
    return tf.concat(this.parts.map(({ held }) => held));
  }

  /** x · Wᵀ. x: (rows, in) → (rows, out). */
  linear(x: Tensor2D): Tensor2D {
    if (this.parts.length === 1) return linear(x, this.tensor(), false);
    return tf.concat(this.parts.map(({ held }) => linear(x, held, false)), 1);
  }

  /** Rows by index. ids: int32 (n) → (n, in). */
  rows(ids: Tensor1D): Tensor2D {
    if (this.parts.length === 1) return gatherRows(this.tensor(), ids);
    return tf.tidy(() => tf.addN(this.parts.map(({ held, first, count }) => {
      const place = ids.sub<Tensor1D>(tf.scalar(first, 'int32'));
      const inside = place.greaterEqual(tf.scalar(0, 'int32')).logicalAnd(place.less(tf.scalar(count, 'int32')));
      const own = tf.where(inside, place, tf.zerosLike(place)); // any row of this part, for those that are in another
      return tf.gather(held, own).mul<Tensor2D>(inside.cast('float32').expandDims<Tensor>(1));
    })));
  }

  dispose(): void {
    tf.dispose(this.parts.map(({ held }) => held));
  }
}
