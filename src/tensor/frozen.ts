import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import * as bfloat16 from './bfloat16.ts';
import { outside } from './outside.ts';
import * as native from './native.ts';
import { linear } from './linear.ts';
import { gatherRows } from './ops.ts';
import { bindingBytes } from './webgpu/device.ts';

/** So many rows of so many bytes, in parts that a kernel can be given: one, but for large tensors on a GPU. */
export function rowRanges(rows: number, rowBytes: number): { readonly first: number; readonly count: number }[] {
  const most = Math.max(1, Math.min(rows, Math.floor(bindingBytes() / rowBytes)));
  return Array.from({ length: Math.max(1, Math.ceil(rows / most)) }, (_, part) =>
    ({ first: part * most, count: Math.min(most, rows - part * most) }));
}

/** Whether a matrix that is bfloat16 in its file can be held so: on native TensorFlow. */
export function holdsBfloat16(): boolean {
  return tf.getBackend() === 'tensorflow';
}

/**
 * A frozen matrix, W: (out, in), in parts where a kernel cannot be given all of it. It is held in float32; in
 * bfloat16, where that can be and loses nothing.
 */
export class FrozenMatrix {
  private readonly parts: readonly { readonly held: Tensor2D; readonly first: number; readonly count: number }[];
  private readonly narrow: boolean;

  /** @param values numbers; or the bits of such of bfloat16, where those are held: see `sharedMemory` */
  constructor(values: Float32Array | Uint16Array, readonly shape: readonly [number, number]) {
    const [out, input] = shape;
    const bits = values instanceof Uint16Array ? values : holdsBfloat16() ? bfloat16.bfloat16Bits(values) : undefined;
    this.narrow = bits !== undefined;
    if (bits) {
      this.parts = [{ first: 0, count: out, held: tf.keep(bfloat16.fromBits(bits, shape) as Tensor2D) }];
      return;
    }
    const wide = values as Float32Array;
    this.parts = rowRanges(out, 4 * input).map(({ first, count }) => ({
      first, count, held: tf.keep(tf.tensor2d(wide.subarray(first * input, (first + count) * input), [count, input])),
    }));
  }

  get bytes(): number {
    return (this.narrow ? 2 : 4) * this.shape[0] * this.shape[1];
  }

  /** The whole, which has to fit. Called inside `tf.tidy`. */
  tensor(): Tensor2D {
    if (this.parts.length > 1) return tf.concat(this.parts.map(({ held }) => held));
    return outside(() => this.wide(this.parts[0]!.held)) as Tensor2D;
  }

  /** x · Wᵀ. x: (rows, in) → (rows, out). */
  linear(x: Tensor2D): Tensor2D {
    if (this.parts.length === 1) return linear(x, this.tensor(), false);
    return tf.concat(this.parts.map(({ held }) => linear(x, held, false)), 1);
  }

  /** Rows by index. ids: int32 (n) → (n, in). */
  rows(ids: Tensor1D): Tensor2D {
    if (this.narrow) return tf.tidy(() => this.wide(native.gather(this.parts[0]!.held, 'bfloat16', ids) as Tensor2D));
    if (this.parts.length === 1) return gatherRows(this.tensor(), ids);
    return tf.tidy(() => tf.addN(this.parts.map(({ held, first, count }) => {
      const place = ids.sub<Tensor1D>(tf.scalar(first, 'int32'));
      const inside = place.greaterEqual(tf.scalar(0, 'int32')).logicalAnd(place.less(tf.scalar(count, 'int32')));
      const own = tf.where(inside, place, tf.zerosLike(place)); // any row of this part, for those that are in another
      return tf.gather(held, own).mul<Tensor2D>(inside.cast('float32').expandDims<Tensor>(1));
    })));
  }

  /** Rows from `first` on, (count, in); in bfloat16 if they are held so and will be multiplied so. */
  slice(first: number, count: number): Tensor2D {
    const { held } = this.parts[0]!;
    if (!this.narrow) return held.slice([first, 0], [count, -1]);
    const some = native.slice(held, 'bfloat16', [first, 0], [count, -1]) as Tensor2D;
    return bfloat16.mixedPrecision() ? some : this.wide(some);
  }

  private wide(held: Tensor2D): Tensor2D {
    return this.narrow ? bfloat16.toFloat32(held) as Tensor2D : held;
  }

  dispose(): void {
    tf.dispose(this.parts.map(({ held }) => held));
  }
}
