import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { Adapter } from '../model/llama.ts';
import type { Group } from './collectives.ts';

// Tensor parallelism (Megatron-LM, Shoeybi et al., 2019, section 3). Attention and feed-forward are two layers each:
// the first is split by columns (its outputs: whole heads, neurons), the second by rows (its inputs, which are the
// first one's outputs), so that the ranks only meet before the one and after the other.

/** The layers split by columns; o_proj and down_proj are split by rows. Norms, embedding and head stay whole. */
const byColumns = /\.(q_proj|k_proj|v_proj|gate_proj|up_proj)\.(weight|bias)$/;
const byRows = /\.(o_proj|down_proj)\.weight$/;

/** The shape of the model that each of `ranks` ranks computes. @throws UserError if its heads cannot be shared out */
export function splitConfig(config: LlamaConfig, ranks: number): LlamaConfig {
  const { heads, kvHeads, intermediateSize } = config;
  const isWhole = [heads, kvHeads, intermediateSize].every((size) => size % ranks === 0);
  if (!isWhole || (config.headNorms && ranks > 1)) {
    throw new UserError(
      `El modelo no se parte entre ${ranks} rangos de tensor: se esperaba un divisor de sus ${kvHeads} cabezas de claves y de `
      + `${intermediateSize}, y cabezas sin norma propia.`,
    );
  }
  return { ...config, heads: heads / ranks, kvHeads: kvHeads / ranks, intermediateSize: intermediateSize / ranks };
}

/** Whether each rank has its own part of a weight. */
export const isSplit = (name: string): boolean => byColumns.test(name) || byRows.test(name);

/** A rank's part of a weight, [out, in] or [out]. */
export function splitWeight(
  name: string, values: Float32Array, shape: readonly number[], ranks: number, index: number,
): { values: Float32Array; shape: readonly number[] } {
  if (!isSplit(name) || ranks === 1) return { values, shape };
  const [out, input] = [shape[0]!, shape[1] ?? 1];
  if (byColumns.test(name)) { // columns of Wᵀ, which are rows of W as it is stored
    const part = out / ranks * input;
    return { values: values.slice(index * part, (index + 1) * part), shape: [out / ranks, ...shape.slice(1)] };
  }
  const width = input / ranks;
  const part = new Float32Array(out * width);
  for (let row = 0; row < out; row++) {
    part.set(values.subarray(row * input + index * width, row * input + (index + 1) * width), row * width);
  }
  return { values: part, shape: [out, width] };
}

/** Where the ranks of a tensor-parallel group meet: Megatron-LM's operators f and g, around the split layers. */
export class TensorParallel implements Adapter {
  /** What q, k and v share, or gate and up, goes through f once. */
  private readonly entered = new WeakMap<Tensor2D, Tensor2D>();

  constructor(private readonly group: Group) {}

  apply(path: string, x: Tensor2D, base: (x: Tensor2D) => Tensor2D): Tensor2D {
    if (byRows.test(`${path}.weight`)) return this.g(base(x));
    let shared = this.entered.get(x);
    if (!shared) this.entered.set(x, shared = this.f(x));
    return base(shared);
  }

  /** Forward nothing; backward the sum of what each rank's part gives. */
  private f(x: Tensor2D): Tensor2D {
    return tf.customGrad((x) => ({
      value: (x as Tensor).clone(), gradFunc: (dy: Tensor) => this.summed(dy),
    }))(x) as Tensor2D;
  }

  /** Forward the sum of what each rank's part gives; backward nothing. */
  private g(x: Tensor2D): Tensor2D {
    return tf.customGrad((x) => ({
      value: this.summed(x as Tensor), gradFunc: (dy: Tensor) => dy.clone(),
    }))(x) as Tensor2D;
  }

  private summed(x: Tensor): Tensor {
    const values = x.dataSync<'float32'>().slice();
    this.group.allReduce(values);
    return tf.tensor(values, x.shape);
  }
}
