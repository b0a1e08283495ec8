import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor3D, Tensor4D } from '@tensorflow/tfjs';
import * as bfloat16 from './bfloat16.ts';
import { customGrad } from './custom-grad.ts';
import * as wasmAttention from './kernels/attention.ts';
import { mixedProduct, product } from './linear.ts';
import { hasOurs, onGpu } from './native.ts';
import * as nativeAttention from './native/attention.ts';
import * as nativeRows from './native/rows.ts';
import * as webgpuAttention from './webgpu/attention.ts';
import * as webgpuRows from './webgpu/rows.ts';

/**
 * The few operations of a Llama that TensorFlow.js lacks, or whose tape would hold more than
 * their gradient needs. Each states its derivative once, in few kernels.
 */

/** Kernels of our own. What a backend has none for goes by TensorFlow.js's tensors. */
interface Kernels {
  readonly attention?: AttentionKernels;
  readonly rotate?: typeof webgpuAttention.rotate;
  readonly rows?: Pick<typeof webgpuRows, 'rmsNorm' | 'rmsNormGradient' | 'swiglu' | 'swigluGradients'>;
}

/** What `sums` is of, is the kernels' own affair. */
interface AttentionKernels {
  fitsAttention(headDim: number, queries: number): boolean;
  causalAttention(q: Tensor3D, k: Tensor4D, v: Tensor4D): { out: Tensor2D; sums: Tensor };
  causalAttentionGradients(
    q: Tensor3D, k: Tensor4D, v: Tensor4D, out: Tensor2D, sums: Tensor, dOut: Tensor2D,
  ): [Tensor, Tensor, Tensor];
}

/**
 * wasm has kernels for its batched matrix products, which run at 1.5 GFLOP/s and took two fifths of a training step;
 * webgpu and native TensorFlow have them so as to keep no score matrix, and to go over memory once.
 */
const kernelsOf: Readonly<Record<string, Kernels>> = {
  wasm: { attention: wasmAttention, rotate: wasmAttention.rotate },
  webgpu: { attention: webgpuAttention, rotate: webgpuAttention.rotate, rows: webgpuRows },
  tensorflow: { attention: nativeAttention, rotate: nativeRows.rotate, rows: nativeRows },
};

/** Those of the backend in use; native TensorFlow's are for the processor. */
function kernels(): Kernels {
  const backend = tf.getBackend();
  return backend === 'tensorflow' && (onGpu() || !hasOurs()) ? {} : kernelsOf[backend] ?? {};
}

/**
 * RMSNorm (Zhang and Sennrich, 2019): y = w · x / √(mean(x²) + ε). x: (rows, hidden), w: (hidden).
 * A frozen `w` gets no gradient, and none is computed.
 */
export function rmsNorm(x: Tensor2D, weight: Tensor1D, epsilon: number, trainable: boolean): Tensor2D {
  const { rows } = kernels();
  return rows ? rmsNormByKernel(rows, x, weight, epsilon, trainable) : normalizeByTensors(x, epsilon).mul(weight);
}

type RowKernels = NonNullable<Kernels['rows']>;

function rmsNormByKernel(
  { rmsNorm, rmsNormGradient }: RowKernels, x: Tensor2D, weight: Tensor1D, epsilon: number, trainable: boolean,
): Tensor2D {
  const op = customGrad((...args) => {
    const [x, save] = [args[0] as Tensor2D, args.at(-1) as tf.GradSaveFunc];
    const { y, scale } = rmsNorm(x, weight, epsilon);
    save([x, weight, scale]);
    return {
      value: y,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [x, weight, scale] = saved as [Tensor2D, Tensor1D, Tensor];
        const dx = rmsNormGradient(x, weight, scale, dy);
        return trainable ? [dx, dy.mul(x).mul(scale).sum(0)] : dx;
      },
    };
  });
  return (trainable ? op(x, weight) : op(x)) as Tensor2D;
}

function normalizeByTensors(x: Tensor2D, epsilon: number): Tensor2D {
  const op = customGrad((x, save) => {
    const input = x as Tensor2D;
    const scale = input.square().mean(1, true).add(epsilon).rsqrt(); // (rows, 1)
    const normed = input.mul(scale);
    (save as tf.GradSaveFunc)([normed, scale]);
    return {
      value: normed,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [normed, scale] = saved as [Tensor, Tensor];
        return dy.sub(normed.mul(dy.mul(normed).mean(1, true))).mul(scale);
      },
    };
  });
  return op(x) as Tensor2D;
}

/** SwiGLU's gate (Shazeer, 2020): y = silu(gate) · up. Both (rows, width). */
export function swiglu(gate: Tensor2D, up: Tensor2D): Tensor2D {
  const { rows } = kernels();
  return rows ? swigluByKernel(rows, gate, up) : swigluByTensors(gate, up);
}

function swigluByKernel({ swiglu, swigluGradients }: RowKernels, gate: Tensor2D, up: Tensor2D): Tensor2D {
  const op = customGrad((gate, up, save) => {
    (save as tf.GradSaveFunc)([gate as Tensor, up as Tensor]);
    return {
      value: swiglu(gate as Tensor, up as Tensor),
      gradFunc: (dy: Tensor, [gate, up]: Tensor[]) => swigluGradients(gate!, up!, dy),
    };
  });
  return op(gate, up) as Tensor2D;
}

function swigluByTensors(gate: Tensor2D, up: Tensor2D): Tensor2D {
  const op = customGrad((gate, up, save) => {
    const a = gate as Tensor2D;
    const sigmoid = a.sigmoid();
    const silu = a.mul(sigmoid);
    (save as tf.GradSaveFunc)([up as Tensor, sigmoid, silu]);
    return {
      value: silu.mul(up as Tensor),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [up, sigmoid, silu] = saved as [Tensor, Tensor, Tensor];
        // silu'(a) = σ(a) + silu(a) · (1 − σ(a))
        const dGate = dy.mul(up).mul(sigmoid.add(silu.mul(tf.sub(1, sigmoid))));
        return [dGate, dy.mul(silu)];
      },
    };
  });
  return op(gate, up) as Tensor2D;
}

export interface RotaryTables {
  /** (rows, 1, headDim): one row a position. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** (headDim, headDim): x · turn = rotate_half(x) = [−x₂, x₁]. */
  readonly turn: Tensor2D;
}

/**
 * Rotary position embedding (Su et al., 2021), half-split as in transformers: x·cos + rotate_half(x)·sin.
 * A rotation by −θ is its gradient. x: (rows, heads, headDim).
 */
export function rotary(x: Tensor3D, tables: RotaryTables): Tensor3D {
  const ours = isWhole(x.shape[2]) ? kernels().rotate : undefined;
  const rotate = (x: Tensor, sign: 1 | -1) => ours?.(x as Tensor3D, tables.cos, tables.sin, sign)
    ?? rotateByTensors(x as Tensor3D, tables, sign);
  const op = customGrad((x) => ({
    value: rotate(x as Tensor, 1),
    gradFunc: (dy: Tensor) => rotate(dy, -1),
  }));
  return op(x) as Tensor3D;
}

function rotateByTensors(x: Tensor3D, { cos, sin, turn }: RotaryTables, sign: 1 | -1): Tensor {
  const [rows, heads, headDim] = x.shape;
  const turned = tf.matMul(x.reshape([rows * heads, headDim]), turn).reshape(x.shape);
  return x.mul(cos).add(turned.mul(sign === 1 ? sin : sin.neg()));
}

/** Rows of a matrix by index; the gradient adds rows that were taken twice. table: (n, width), ids: int32 (rows). */
export function gatherRows(table: Tensor2D, ids: Tensor1D): Tensor2D {
  const op = customGrad((table) => {
    const shape = (table as Tensor2D).shape as [number, number];
    return {
      value: tf.gather(table as Tensor2D, ids),
      // Not tf.gather's own gradient: wasm has no UnsortedSegmentSum.
      gradFunc: (dy: Tensor) => tf.scatterND(ids.expandDims(1), dy, shape),
    };
  });
  return op(table) as Tensor2D;
}

/**
 * Softmax cross-entropy in nats, summed over rows and times `scale`.
 * logits: (rows, vocab), labels: int32 (rows).
 */
export function crossEntropy(logits: Tensor2D, labels: Tensor1D, scale: number): tf.Scalar {
  return tf.getBackend() === 'webgpu'
    ? crossEntropyByKernel(logits, labels, scale) : crossEntropyByTensors(logits, labels, scale);
}

function crossEntropyByKernel(logits: Tensor2D, labels: Tensor1D, scale: number): tf.Scalar {
  const op = customGrad((logits, save) => {
    const { losses, sums } = webgpuRows.crossEntropy(logits as Tensor2D, labels);
    (save as tf.GradSaveFunc)([logits as Tensor, labels, sums]);
    return {
      value: losses.sum().mul(scale),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [logits, labels, sums] = saved as [Tensor2D, Tensor1D, Tensor1D];
        return webgpuRows.crossEntropyGradient(logits, labels, sums, dy, scale);
      },
    };
  });
  return op(logits) as tf.Scalar;
}

function crossEntropyByTensors(logits: Tensor2D, labels: Tensor1D, scale: number): tf.Scalar {
  const op = customGrad((logits, save) => {
    const shape = (logits as Tensor2D).shape;
    const cells = tf.stack([tf.range(0, shape[0], 1, 'int32'), labels], 1); // (rows, 2): where each row's label stands
    const logProbability = (logits as Tensor2D).logSoftmax();
    (save as tf.GradSaveFunc)([logProbability, cells]);
    return {
      value: tf.gatherND(logProbability, cells as Tensor2D).sum().mul(-scale),
      gradFunc: (dy: Tensor, [logProbability, cells]: Tensor[]) => {
        const target = tf.scatterND(cells!, tf.ones([shape[0]]), shape); // one-hot (rows, vocab)
        return logProbability!.exp().sub(target).mul(dy.mul(scale));
      },
    };
  });
  return op(logits) as tf.Scalar;
}

/**
 * KL(target ‖ softmax(logits)) in nats, summed over rows and times `scale`; no gradient goes to the target.
 * logTarget: log-probabilities (rows, n), logits: (rows, n).
 */
export function divergence(logTarget: Tensor2D, logits: Tensor2D, scale: number): tf.Scalar {
  const op = customGrad((logits, save) => {
    const logProbability = (logits as Tensor2D).logSoftmax();
    const target = logTarget.exp();
    (save as tf.GradSaveFunc)([logProbability, target]);
    return {
      value: target.mul(logTarget.sub(logProbability)).sum().mul(scale),
      gradFunc: (dy: Tensor, [logProbability, target]: Tensor[]) =>
        logProbability!.exp().sub(target!).mul(dy.mul(scale)),
    };
  });
  return op(logits) as tf.Scalar;
}

/** The matrix of a frozen head, (vocab, hidden), some rows at a time: from `first` on, or by index. */
export interface Head {
  readonly shape: readonly [number, number];
  slice(first: number, count: number): Tensor2D;
  rows(ids: Tensor1D): Tensor2D;
}

/**
 * `crossEntropy(linear(x, w), labels, scale)` for a frozen head, some of the vocabulary at a time: the logits, a step's
 * largest tensor, never stand whole, and their gradient not at all. It is Σ_v p_v · w_v less the label's w, and what is
 * summed of it scales down when a larger logit comes, as in attention without its scores (Rabe and Staats, 2021).
 * x: (rows, hidden), labels: int32 (rows).
 */
export function headCrossEntropy(x: Tensor2D, w: Head, labels: Tensor1D, scale: number): tf.Scalar {
  const [vocab, hidden] = w.shape;
  const rows = x.shape[0];
  const step = Math.max(MIN_WORDS, Math.floor(HEAD_BYTES / (4 * Math.max(rows, hidden))));
  const multiply = bfloat16.mixedPrecision() ? mixedProduct : product;
  const op = customGrad((given, save) => {
    const x = given as Tensor2D;
    // Of what has been seen of the vocabulary: the largest logit (rows, 1), Σ_v exp(logit − largest) (rows, 1), and
    // Σ_v exp(logit − largest) · w_v (rows, hidden).
    let seen: [Tensor, Tensor, Tensor] = [tf.fill([rows, 1], -Infinity), tf.zeros([rows, 1]), tf.zeros([rows, hidden])];
    for (let first = 0; first < vocab; first += step) {
      const before = seen;
      seen = tf.tidy(() => {
        const some = w.slice(first, Math.min(step, vocab - first)); // (count, hidden)
        const logits = multiply(x, some, { transposeB: true }); // (rows, count)
        const largest = before[0].maximum(logits.max(1, true));
        const fade = before[0].sub(largest).exp();
        const powers = logits.sub(largest).exp();
        return [largest, before[1].mul(fade).add(powers.sum(1, true)), before[2].mul(fade).add(multiply(powers, some))];
      });
      tf.dispose(before);
    }
    const [largest, sum, weighted] = seen;
    const target = w.rows(labels); // (rows, hidden)
    const own = x.mul(target).sum(1, true); // the label's logit
    (save as tf.GradSaveFunc)([weighted.div(sum).sub(target)]);
    return {
      value: sum.log().add(largest).sub(own).sum().mul(scale),
      gradFunc: (dy: Tensor, [dx]: Tensor[]) => dx!.mul(dy.mul(scale)),
    };
  });
  return op(x) as tf.Scalar;
}

/** Bytes of logits, and of the head's rows, at a time, unless so few would make the products thin. */
const HEAD_BYTES = 8 * 1024 * 1024;
const MIN_WORDS = 256;

/** Who may look at whom. */
export interface AttentionPlace {
  readonly batch: number;
  /** Queries of each sequence. */
  readonly queries: number;
  /** Broadcasts to (batch, kvHeads, group·queries, keys): 0, or −1e9 where a query may not look. */
  readonly mask: Tensor;
  /** Whether the mask says just that each query sees the keys up to its own position. */
  readonly causal: boolean;
}

/**
 * Grouped-query attention of one layer (Ainslie et al., 2023).
 * q: (batch·queries, heads, headDim), k and v: (batch, keys, kvHeads, headDim) → (batch·queries, heads·headDim).
 */
export function attention(q: Tensor3D, k: Tensor4D, v: Tensor4D, place: AttentionPlace): Tensor2D {
  const ours = place.causal && isWhole(q.shape[2]) ? kernels().attention : undefined;
  return ours?.fitsAttention(q.shape[2], place.queries)
    ? attentionByKernel(ours, q, k, v) : attentionByTensors(q, k, v, place);
}

function attentionByTensors(q: Tensor3D, k: Tensor4D, v: Tensor4D, { batch, queries, mask }: AttentionPlace): Tensor2D {
  const [rows, heads, headDim] = q.shape;
  const kvHeads = k.shape[2];
  const stacked = q.reshape([batch, queries, heads, headDim])
    .transpose([0, 2, 1, 3]) // (batch, heads, queries, headDim)
    // A group shares its keys: its heads are so many queries more.
    .reshape([batch, kvHeads, heads / kvHeads * queries, headDim]);
  const [keys, values] = [k.transpose([0, 2, 1, 3]), v.transpose([0, 2, 1, 3])]; // (batch, kvHeads, keys, headDim)
  // (batch, kvHeads, group·queries, keys)
  const scores = tf.matMul(stacked, keys, false, true).mul(1 / Math.sqrt(headDim));
  return tf.matMul(scores.add(mask).softmax(), values)
    .reshape([batch, heads, queries, headDim])
    .transpose([0, 2, 1, 3]) // (batch, queries, heads, headDim)
    .reshape([rows, heads * headDim]);
}

function attentionByKernel(kernels: AttentionKernels, q: Tensor3D, k: Tensor4D, v: Tensor4D): Tensor2D {
  const op = customGrad((...args) => {
    const [q, k, v, save] = args as unknown as [Tensor3D, Tensor4D, Tensor4D, tf.GradSaveFunc];
    const { out, sums } = kernels.causalAttention(q, k, v);
    save([q, k, v, out, sums]);
    return {
      value: out,
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [q, k, v, out, sums] = saved as [Tensor3D, Tensor4D, Tensor4D, Tensor2D, Tensor];
        return kernels.causalAttentionGradients(q, k, v, out, sums, dy as Tensor2D);
      },
    };
  });
  return op(q, k, v) as Tensor2D;
}

/** Whether our kernels take heads of this length: whole vectors of four floats, and twice over in a rotation. */
function isWhole(headDim: number): boolean {
  return headDim % 8 === 0;
}
