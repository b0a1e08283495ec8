import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import * as bfloat16 from './bfloat16.ts';
import { customGrad } from './custom-grad.ts';
import { matmul } from './kernels/matmul.ts';
import * as webgpuLora from './webgpu/lora.ts';
import { matmul as webgpuMatmul } from './webgpu/matmul.ts';

/**
 * A linear layer: y = x · wᵀ. x: (rows, in), w: (out, in) as checkpoints have it, y: (rows, out).
 * A frozen `w` gets no gradient, and none is computed.
 */
export function linear(x: Tensor2D, w: Tensor2D, trainable: boolean): Tensor2D {
  if (!trainable) return frozenLinear(x, w, product);
  // What the gradient needs goes through `save`: the tape frees everything else that f made, w included.
  const op = customGrad((x, w, save) => {
    (save as tf.GradSaveFunc)([x as Tensor, w as Tensor]);
    return {
      value: trainedProduct(x as Tensor, w as Tensor, { transposeB: true }),
      gradFunc: (dy: Tensor, [x, w]: Tensor[]) =>
        [trainedProduct(dy, w!), trainedProduct(dy, x!, { transposeA: true })],
    };
  });
  return op(x, w) as Tensor2D;
}

/** The same of a frozen matrix of bfloat16. */
export function bfloat16Linear(x: Tensor2D, w: Tensor): Tensor2D {
  return frozenLinear(x, w as Tensor2D, mixedProduct);
}

type Product = (a: Tensor, b: Tensor, how?: { transposeA?: boolean; transposeB?: boolean }) => Tensor2D;

function frozenLinear(x: Tensor2D, w: Tensor2D, multiply: Product): Tensor2D {
  const op = customGrad((x, save) => {
    (save as tf.GradSaveFunc)([w]);
    return {
      value: multiply(x as Tensor, w, { transposeB: true }),
      gradFunc: (dy: Tensor, [w]: Tensor[]) => multiply(dy, w!),
    };
  });
  return op(x) as Tensor2D;
}

/** A product with a weight that learns, or for its gradient. */
function trainedProduct(a: Tensor, b: Tensor, how = {}): Tensor2D {
  return (bfloat16.mixedPrecision() ? mixedProduct : product)(a, b, how);
}

/**
 * a · b of two matrices, either of them transposed first: (n, k), (k, m) → (n, m). The wasm backend's own runs on one
 * thread, and twelve times slower if b is transposed.
 */
export function product(a: Tensor, b: Tensor, { transposeA = false, transposeB = false } = {}): Tensor2D {
  const [left, right] = [a as Tensor2D, b as Tensor2D];
  if (tf.getBackend() === 'webgpu') return webgpuMatmul(left, right, { transposeA, transposeB });
  return tf.getBackend() === 'wasm'
    ? matmul(left, right, { transposeA, transposeB })
    : tf.matMul(left, right, transposeA, transposeB);
}

/** The same in bfloat16, on native TensorFlow. */
export function mixedProduct(a: Tensor, b: Tensor, how = {}): Tensor2D {
  return bfloat16.product(bfloat16.toBfloat16(a), bfloat16.toBfloat16(b), how);
}

/** LoRA's update of a linear layer: s · (x aᵀ) bᵀ. x: (rows, in), a: (r, in), b: (out, r) → (rows, out). */
export interface Update {
  readonly x: Tensor2D;
  readonly a: Tensor2D;
  readonly b: Tensor2D;
  readonly scaling: number;
}

/** What a layer gives, and its update. y: (rows, out). */
export function plusUpdate(y: Tensor2D, { x, a, b, scaling }: Update): Tensor2D {
  const { addUpdate, addUpdateGradients } = tf.getBackend() === 'webgpu' ? webgpuLora : loraByProducts;
  const op = customGrad((...args) => {
    const [y, x, a, b, save] = args as unknown as [Tensor2D, Tensor2D, Tensor2D, Tensor2D, tf.GradSaveFunc];
    const { sum, low } = addUpdate(y, x, a, b, scaling);
    save([x, a, b, low]);
    return {
      value: sum,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x, a, b, low] = saved as [Tensor2D, Tensor2D, Tensor2D, Tensor2D];
        // A tensor of its own: whoever adds gradients up frees those that it has added.
        return [dy.clone(), ...addUpdateGradients(dy as Tensor2D, x, a, b, low, scaling)];
      },
    };
  });
  return op(y, x, a, b) as Tensor2D;
}

/** As `./webgpu/lora.ts` has them. The scale is put on the thin product. */
const loraByProducts: Pick<typeof webgpuLora, 'addUpdate' | 'addUpdateGradients'> = {
  addUpdate(y, x, a, b, scaling) {
    const low = scaled(trainedProduct(x, a, { transposeB: true }), scaling); // (rows, r)
    return { sum: y.add(trainedProduct(low, b, { transposeB: true })), low };
  },
  addUpdateGradients(dy, x, a, b, low, scaling) {
    const dLow = scaled(trainedProduct(dy, b), scaling); // (rows, r)
    return [
      trainedProduct(dLow, a),
      trainedProduct(dLow, x, { transposeA: true }),
      trainedProduct(dy, low, { transposeA: true }),
    ];
  },
};

function scaled(x: Tensor2D, by: number): Tensor2D {
  return by === 1 ? x : x.mul(by);
}
