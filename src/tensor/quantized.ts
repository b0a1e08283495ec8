import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { byteLength, dequantize, dequantizeToBfloat16 } from '../quant/quantize.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { mixedPrecision, unpack } from './bfloat16.ts';
import { outside } from './outside.ts';
import { HeldMatrix, isFusable } from './kernels/matmul.ts';
import { passed } from './native.ts';
import { isKeptPacked, PackedMatrix } from './native-packed.ts';
import { packedLinear } from './native/linear.ts';
import { bfloat16Linear, linear, plusUpdate } from './linear.ts';
import type { Update } from './linear.ts';
import { DeviceMatrix } from './webgpu/packed.ts';

/** A frozen 4-bit matrix, W: (out, in), and products by it. */
export class QuantizedMatrix {
  readonly shape: readonly number[];
  readonly bytes: number;
  private held: HeldMatrix | undefined;
  private onDevice: DeviceMatrix | undefined;
  private native: PackedMatrix | undefined;

  constructor(private given: QuantizedTensor | undefined) {
    this.shape = given!.shape;
    this.bytes = byteLength(given!);
    this.packed(); // at once, or a whole model would be held twice before its first product
  }

  /** Its bytes: those given, or the same where the backend has them. */
  get quantized(): QuantizedTensor {
    return this.held?.quantized ?? this.native?.quantized ?? this.given!;
  }

  /** x · Wᵀ and LoRA's update: one operation on a processor with AMX. x: (rows, in) → (rows, out). */
  linearWithUpdate(x: Tensor2D, update: Update): Tensor2D {
    const packed = mixedPrecision() ? this.packed() : undefined;
    return packed?.multiplies ? packedLinear(x, packed, update) : plusUpdate(this.linear(x), update);
  }

  /**
   * x · Wᵀ. x: (rows, in) → (rows, out). On wasm, webgpu and a processor with AMX from the 4 bits, elsewhere by way of
   * the wide matrix.
   */
  linear(x: Tensor2D): Tensor2D {
    const [out, input] = this.shape as [number, number];
    if (mixedPrecision()) {
      const packed = this.packed();
      if (packed?.multiplies) return fused(x, packed);
      if (packed) return bfloat16Linear(x, packed.wide('bfloat16'));
      if (input % 2 === 0) {
        return bfloat16Linear(x, unpack(outside(() =>
          passed([out, input / 2], 'int32', (pairs) => dequantizeToBfloat16(this.quantized, pairs)))));
      }
    }
    if (!['wasm', 'webgpu'].includes(tf.getBackend()) || !isFusable(this.quantized)) return linear(x, this.wide(), false);
    return fused(x, tf.getBackend() === 'wasm'
      ? this.held ??= new HeldMatrix(this.given!) : this.onDevice ??= new DeviceMatrix(this.given!));
  }

  /** In float32, for the occasion. Called inside `tf.tidy`. */
  wide(): Tensor2D {
    const { shape } = this;
    return this.packed()?.wide() ?? outside(() => (tf.getBackend() === 'tensorflow'
      ? passed(shape, 'float32', (values) => dequantize(this.quantized, values))
      : tf.tensor(dequantize(this.quantized), [...shape])));
  }

  /** In native TensorFlow's memory, which then has it alone, if it lies there. */
  private packed(): PackedMatrix | undefined {
    if (this.native || !this.given || !isKeptPacked(this.given)) return this.native;
    this.native = new PackedMatrix(this.given);
    this.given = undefined;
    return this.native;
  }

  dispose(): void {
    this.native?.dispose();
    this.native = undefined;
    this.held?.dispose();
    this.held = undefined;
    this.onDevice?.dispose();
    this.onDevice = undefined;
  }
}

/** A linear layer by products from the 4 bits, there and back. */
function fused(x: Tensor2D, matrix: { product(x: Tensor, transposed: boolean): Tensor }): Tensor2D {
  return tf.customGrad((x) => ({
    value: matrix.product(x as Tensor, true),
    gradFunc: (dy: Tensor) => matrix.product(dy, false),
  }))(x) as Tensor2D;
}
