import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { weightShapes } from '../model/config.ts';
import type { LlamaModel } from '../model/llama.ts';
import { Parameter } from '../model/weights.ts';
import { linear } from '../tensor/linear.ts';
import { attach } from './adapter.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { combineAdapters, combineDefaults } from './combine.ts';
import type { Lora } from './lora.ts';

/**
 * A light router over frozen LoRA adapters, as in MoLE (Wu et al., 2024): a gate a layer gives each token its weights,
 * g = softmax(x Gᵀ), and y = x Wᵀ + Σ gₑ · sₑ · x Aₑᵀ Bₑᵀ. Only the gates learn; at first they weigh all alike.
 */
export class Router implements PeftAdapter {
  readonly peftType = 'ROUTER';
  readonly parameters: readonly Parameter[];
  readonly saved: ReadonlyMap<string, Parameter> = new Map();
  /** Hears the weights that each layer gives to each row: (rows, experts). */
  observer: ((path: string, weights: Float32Array) => void) | undefined;
  private readonly gates: ReadonlyMap<string, Parameter>;
  /** The experts' As one under another, and their Bs side by side: one product for all of them. */
  private readonly together: Lora;

  /** @param values the initial values of a gate. */
  constructor(
    base: LlamaModel, readonly experts: readonly Lora[],
    values: (name: string, shape: readonly number[]) => Float32Array,
  ) {
    const weights = experts.map(() => 1);
    this.together = combineAdapters(base, experts, 'cat', { ...combineDefaults, weights }).adapter;
    const shapes = weightShapes(base.config);
    this.gates = new Map([...this.together.targets].map((path) => {
      const [name, shape] = [`${path}.router.weight`, [experts.length, shapes.get(`${path}.weight`)![1]!]];
      return [path, new Parameter(name, values(name, shape), shape)];
    }));
    this.parameters = [...this.gates.values()];
  }

  get targets(): ReadonlySet<string> {
    return this.together.targets;
  }

  apply(path: string, x: Tensor2D, base: (x: Tensor2D) => Tensor2D): Tensor2D {
    const gate = this.gates.get(path);
    if (!gate) return base(x);
    const { a, b } = this.together.factors(path)!;
    const weights = tf.softmax(linear(x, gate.tensor() as Tensor2D, true)); // (rows, experts)
    this.observer?.(path, weights.dataSync<'float32'>().slice());
    const spread = tf.matMul(weights, this.ranksOf(path, a.shape[0]!)); // (rows, ranks of all)
    const low = linear(x, a.tensor() as Tensor2D, false).mul<Tensor2D>(spread); // (rows, ranks of all)
    return base(x).add(linear(low, b.tensor() as Tensor2D, false)); // (rows, out)
  }

  merged(): Tensor2D {
    throw new UserError(
      'Un router elige en cada token y no se puede fusionar con la base: fusiona uno de sus adaptadores, o antes reúnelos con '
      + '--combine.',
    );
  }

  /** Which of the ranks are whose: (experts, ranks). A rank that the layer does not use is nobody's. */
  private ranksOf(path: string, ranks: number): Tensor2D {
    const owner = new Float32Array(this.experts.length * ranks);
    let at = 0;
    this.experts.forEach((expert, e) => {
      const r = expert.factors(path)?.a.shape[0] ?? 0;
      owner.fill(1, e * ranks + at, e * ranks + at + r);
      at += r;
    });
    return tf.tensor2d(owner, [this.experts.length, ranks]);
  }
}

/** Puts a router over adapters that have learnt, and stay as they are. */
export function addRouter(base: LlamaModel, experts: readonly Lora[]): PeftModel<Router> {
  return attach(base, new Router(base, experts, (_, [rows, columns]) => new Float32Array(rows! * columns!)));
}
