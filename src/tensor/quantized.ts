import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { dequantize, dequantizeToBfloat16 } from '../quant/quantize.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { mixedPrecision } from './bfloat16.ts';
import { outside } from './graph.ts';
import { HeldMatrix, isFusable } from './kernels/matmul.ts';
import { passed } from './native.ts';
import { isKeptPacked, PackedMatrix } from './native-packed.ts';
import { bfloat16Linear, linear } from './ops.ts';
import { DeviceMatrix } from './webgpu/matmul.ts';

/** A frozen 4-bit matrix, W: (out, in), and products by it. */
export class QuantizedMatrix {
  private held: HeldMatrix | undefined;
  private onDevice: DeviceMatrix | undefined;
  private native: PackedMatrix | undefined;

  constructor(private readonly given: QuantizedTensor) {}

  /** Its bytes: those given, or from the first product on wasm on, the same in the backend's memory. */
  get quantized(): QuantizedTensor {
    return this.held?.quantized ?? this.given;
  }

  /** x · Wᵀ. x: (rows, in) → (rows, out). On wasm and webgpu from the 4 bits, elsewhere by way of the wide matrix. */
  linear(x: Tensor2D): Tensor2D {
    const [out, input] = this.quantized.shape as [number, number];
    if (mixedPrecision() && input % 2 === 0) {
      return bfloat16Linear(x, this.packed()?.widePairs() ?? outside(() =>
        passed([out, input / 2], 'int32', (pairs) => dequantizeToBfloat16(this.quantized, pairs))));
    }
    const fused = ['wasm', 'webgpu'].includes(tf.getBackend()) && isFusable(this.quantized);
    if (!fused) return linear(x, this.wide() as Tensor2D, false);
    const held = tf.getBackend() === 'wasm'
      ? this.held ??= new HeldMatrix(this.given) : this.onDevice ??= new DeviceMatrix(this.given);
    return tf.customGrad((x) => ({
      value: held.product(x as Tensor, true),
      gradFunc: (dy: Tensor) => held.product(dy, false),
    }))(x) as Tensor2D;
  }

  /** In float32, for the occasion. */
  wide(): Tensor {
    const { quantized } = this;
    return this.packed()?.wide() ?? outside(() => (tf.getBackend() === 'tensorflow'
      ? passed(quantized.shape, 'float32', (values) => dequantize(quantized, values))
      : tf.tensor(dequantize(quantized), [...quantized.shape])));
  }

  /** On native TensorFlow's device, if it lies there. */
  private packed(): PackedMatrix | undefined {
    return isKeptPacked(this.given) ? this.native ??= new PackedMatrix(this.given) : undefined;
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
