import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import { plusUpdate } from '../tensor/linear.ts';
import { attention, gatherRows, rmsNorm, rotary, swiglu } from '../tensor/ops.ts';
import type { Update } from '../tensor/linear.ts';
import type { AttentionPlace, RotaryTables } from '../tensor/ops.ts';
import type { LinearName, LlamaConfig } from './config.ts';
import { rotaryTables } from './rotary.ts';
import type { Weight } from './weights.ts';

/** One pass over the model: whether dropout is on, and the seed that fixes what it drops. */
export interface Pass {
  readonly training: boolean;
  readonly seed: number;
}

/** A pass that drops nothing. */
export const inference: Pass = { training: false, seed: 0 };

/** The frozen product of a layer, x · Wᵀ, and LoRA's update if it is given. x: (rows, in) → (rows, out). */
export type Base = (x: Tensor2D, update?: Update) => Tensor2D;

/**
 * What an adapter method does to a linear layer.
 * x: (rows, in); the result: (rows, out). `path` is the layer's, as in `model.layers.0.self_attn.q_proj`.
 */
export interface Adapter {
  apply(path: string, x: Tensor2D, base: Base, pass: Pass): Tensor2D;
  /** What it makes of the layer's bias (out), where it does not leave it as it is. */
  bias?(path: string, bias: Tensor1D): Tensor1D;
  /** Weights that it trains whole, in place of the model's own of that name. */
  readonly saved?: ReadonlyMap<string, Weight>;
  /** Every pass takes the same steps, whatever its seed: a block may be recorded as a graph. */
  readonly takesSameSteps?: boolean;
}

/** Where each row of a batch stands: rotary tables and the attention masks, made once a pass. */
export interface Placement extends AttentionPlace {
  readonly rotary: RotaryTables;
  /** For the layers with a sliding window, where it is shorter than the text. */
  readonly sliding?: AttentionPlace;
}

/** Keys and values of one layer so far, each (batch, keys, kvHeads, headDim). */
export interface LayerCache {
  readonly k: Tensor4D;
  readonly v: Tensor4D;
}

/** A Llama-family decoder (Touvron et al., 2023) over weights of any kind, with at most one adapter. */
export class LlamaModel {
  adapter: Adapter | undefined;

  constructor(readonly config: LlamaConfig, readonly weights: ReadonlyMap<string, Weight>) {}

  /** The adapter's own, where it trains one whole, or the base's. @throws Error if there is none of that name */
  weight(name: string): Weight {
    const weight = this.find(name);
    if (!weight) throw new Error(`The model has no weight named ${name}`);
    return weight;
  }

  private find(name: string): Weight | undefined {
    return this.adapter?.saved?.get(name) ?? this.weights.get(name);
  }

  /** The head's matrix. A tied one is the base's embedding, even while an adapter trains a copy of that. */
  get headWeight(): Weight {
    const name = 'lm_head.weight';
    return this.config.tiedHead
      ? this.adapter?.saved?.get(name) ?? this.weights.get('model.embed_tokens.weight')!
      : this.weight(name);
  }

  /** Token ids, int32 (rows), to hidden states (rows, hidden). */
  embed(ids: Tensor1D): Tensor2D {
    return this.weight('model.embed_tokens.weight').rows(ids);
  }

  /**
   * One transformer block. x: (batch·queries, hidden) → the same shape.
   *
   * @param rows int32 (n): the only rows whose result is wanted, as after the last block; they attend to all. The
   *   result is then (n, hidden).
   */
  block(
    layer: number, x: Tensor2D, place: Placement, pass: Pass,
    { cache, rows: wanted }: {
      cache?: { past?: LayerCache; keep(now: LayerCache): void };
      rows?: Tensor1D | undefined;
    } = {},
  ): Tensor2D {
    const { heads, kvHeads, headDim, headNorms, slides } = this.config;
    const { batch, queries } = place;
    const rows = batch * queries;
    const project = (name: LinearName, x: Tensor2D) => this.linear(`model.layers.${layer}.${name}`, x, pass);
    const norm = (name: string, x: Tensor2D) => this.norm(`model.layers.${layer}.${name}`, x);

    /** Queries or keys, each head normed if the family does so, at their positions: (rows, n, headDim). */
    const placed = (projected: Tensor2D, n: number, normName: string) => {
      const normed = headNorms ? norm(normName, projected.reshape([rows * n, headDim])) : projected;
      return rotary(normed.reshape([rows, n, headDim]), place.rotary);
    };

    const h = norm('input_layernorm', x);
    const q = placed(project('self_attn.q_proj', h), heads, 'self_attn.q_norm');
    let k = placed(project('self_attn.k_proj', h), kvHeads, 'self_attn.k_norm')
      .reshape([batch, queries, kvHeads, headDim]) as Tensor4D;
    let v = project('self_attn.v_proj', h).reshape([batch, queries, kvHeads, headDim]) as Tensor4D;
    if (cache) {
      if (cache.past) {
        k = tf.concat([cache.past.k, k], 1); // (batch, keys, kvHeads, headDim)
        v = tf.concat([cache.past.v, v], 1);
      }
      cache.keep({ k, v });
    }
    const seen = slides?.[layer] ? place.sliding ?? place : place;
    const goesOn = (x: Tensor2D) => (wanted ? gatherRows(x, wanted) : x);
    const mixed = goesOn(attention(q, k, v, seen)); // (rows or n, heads·headDim)
    const attended = goesOn(x).add(project('self_attn.o_proj', mixed)) as Tensor2D;

    const m = norm('post_attention_layernorm', attended);
    const gated = swiglu(project('mlp.gate_proj', m), project('mlp.up_proj', m)); // (rows or n, intermediate)
    return attended.add(project('mlp.down_proj', gated));
  }

  /** Hidden states (rows, hidden) after the last block to logits (rows, vocab). */
  head(x: Tensor2D): Tensor2D {
    return this.headWeight.linear(this.lastNorm(x));
  }

  /** What the head is given. x: (rows, hidden) → the same shape. */
  lastNorm(x: Tensor2D): Tensor2D {
    return this.norm('model.norm', x);
  }

  private norm(path: string, x: Tensor2D): Tensor2D {
    const weight = this.weight(`${path}.weight`);
    return rmsNorm(x, weight.tensor() as Tensor1D, this.config.rmsNormEps, weight.trainable);
  }

  /** x: (rows, in) → (rows, out), through the adapter if there is one; the bias, if there is one, comes last. */
  private linear(path: string, x: Tensor2D, pass: Pass): Tensor2D {
    const weight = this.weight(`${path}.weight`);
    const base: Base = (x, update) => {
      if (!update) return weight.linear(x);
      return weight.linearWithUpdate?.(x, update) ?? plusUpdate(weight.linear(x), update);
    };
    const y = this.adapter ? this.adapter.apply(path, x, base, pass) : base(x);
    const bias = this.find(`${path}.bias`)?.tensor() as Tensor1D | undefined;
    return bias ? y.add(this.adapter?.bias?.(path, bias) ?? bias) : y;
  }

  /** Bytes held for the weights. */
  get bytes(): number {
    return [...this.weights.values()].reduce((sum, weight) => sum + weight.bytes, 0);
  }

  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
  }
}

/**
 * Placement of right-padded sequences that all begin at position 0. Padding comes after the text,
 * so the causal mask alone keeps it from being seen.
 */
export function causalPlacement(config: LlamaConfig, batch: number, seq: number): Placement {
  const { slidingWindow = Infinity } = config;
  const positions = Array.from({ length: batch * seq }, (_, row) => row % seq);
  const place = (window: number): AttentionPlace => ({
    batch, queries: seq, mask: causalMask(config, seq, window), causal: window >= seq,
  });
  return {
    ...place(Infinity),
    rotary: rotaryTables(config, positions),
    ...(slidingWindow < seq && { sliding: place(slidingWindow) }),
  };
}

/** Each query sees `window` keys up to its own: (1, 1, group·seq, seq). */
function causalMask({ heads, kvHeads }: LlamaConfig, seq: number, window: number): Tensor {
  const group = heads / kvHeads;
  const mask = new Float32Array(group * seq * seq);
  for (let row = 0; row < group * seq; row++) {
    const own = row % seq;
    mask.fill(-1e9, row * seq, row * seq + Math.max(0, own + 1 - window));
    mask.fill(-1e9, row * seq + own + 1, (row + 1) * seq);
  }
  return tf.tensor4d(mask, [1, 1, group * seq, seq]);
}

/** All its tensors, always in the same order. */
export function placementTensors({ rotary, mask, sliding }: Placement): Tensor[] {
  return [rotary.cos, rotary.sin, rotary.turn, mask, ...(sliding ? [sliding.mask] : [])];
}

export function disposePlacement(place: Placement): void {
  tf.dispose(placementTensors(place));
}

/**
 * Hidden states after the last block, at every position of one batch of sequences or at some. Called inside `tf.tidy`.
 * ids: int32 (batch·seq), rows: int32 (n) → (batch·seq or n, hidden).
 */
export function hiddenStates(
  model: LlamaModel, ids: Int32Array, batch: number, pass: Pass = inference, rows?: Tensor1D,
): Tensor2D {
  const place = causalPlacement(model.config, batch, ids.length / batch);
  const { layers } = model.config;
  let x = model.embed(tf.tensor1d(ids, 'int32')); // (batch·seq, hidden)
  for (let layer = 0; layer < layers; layer++) {
    x = tf.tidy(() => model.block(layer, x, place, pass, { rows: layer === layers - 1 ? rows : undefined }));
  }
  return x;
}

/** Logits at every position of one batch of sequences. ids: int32 (batch·seq) → (batch·seq, vocab). */
export function logits(model: LlamaModel, ids: Int32Array, batch: number): Tensor2D {
  return tf.tidy(() => model.head(hiddenStates(model, ids, batch)));
}
