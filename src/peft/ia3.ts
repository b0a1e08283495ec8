import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { LlamaModel } from '../model/llama.ts';
import type { Parameter } from '../model/weights.ts';
import { attach, frozenValues, frozenWeight, makeParameters, trainedWhole } from './adapter.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { asOption, savedShapes, targetPaths } from './targets.ts';
import type { Targets, Where } from './targets.ts';

export interface Ia3Options extends Targets {
  /** Those of the modules that multiply their input, named in the same ways; others named here are no matter. */
  readonly feedforwardModules: string | readonly string[];
}

/** PEFT's choice for a Llama. */
export const ia3Defaults: Ia3Options = {
  targetModules: ['k_proj', 'v_proj', 'down_proj'], feedforwardModules: ['down_proj'],
};

/**
 * The vectors of IA³ (Liu et al., 2022), by their names in a PEFT file, with their shapes: a feed-forward module's
 * multiplies its input, [1, in]; the others' their output, [out, 1].
 */
export function ia3Shapes(
  config: LlamaConfig, options: Ia3Options = ia3Defaults, where: Where = asOption,
): Map<string, number[]> {
  const weights = weightShapes(config);
  const { feedforwardModules } = options;
  const feedforward = new Set(feedforwardModules.length === 0 ? []
    : targetPaths(config, { targetModules: feedforwardModules }, () => where('feedforward_modules')));
  const vectors = targetPaths(config, options, where).map((path): [string, number[]] => {
    const [out, input] = weights.get(`${path}.weight`) as [number, number];
    return [`${path}.ia3_l`, feedforward.has(path) ? [1, input] : [out, 1]];
  });
  return new Map([...vectors, ...savedShapes(config, options, where)]);
}

/** IA³: y = l ∘ (W x + b), or W (l ∘ x) + b in a feed-forward module. */
export class Ia3 implements PeftAdapter {
  readonly peftType = 'IA3';
  readonly parameters: readonly Parameter[];
  readonly saved: ReadonlyMap<string, Parameter>;
  private readonly vectors: ReadonlyMap<string, Parameter>;

  /** @param values the initial values of a parameter. */
  constructor(
    private readonly base: LlamaModel,
    readonly options: Ia3Options,
    values: (name: string, shape: readonly number[]) => Float32Array,
    where: Where = asOption,
  ) {
    const parameters = makeParameters(ia3Shapes(base.config, options, where), values);
    this.parameters = [...parameters.values()];
    this.vectors = new Map([...parameters].filter(([name]) => name.endsWith('.ia3_l'))
      .map(([name, vector]) => [name.replace(/\.ia3_l$/, ''), vector]));
    this.saved = trainedWhole(parameters);
  }

  get targets(): ReadonlySet<string> {
    return new Set(this.vectors.keys());
  }

  /** Those that multiply their input. */
  get feedforward(): ReadonlySet<string> {
    return new Set([...this.vectors].flatMap(([path, l]) => (isFeedforward(l) ? [path] : [])));
  }

  apply(path: string, x: Tensor2D, base: (x: Tensor2D) => Tensor2D): Tensor2D {
    const l = this.vectors.get(path);
    if (!l) return base(x);
    if (isFeedforward(l)) return base(x.mul(l.tensor())); // (rows, in) · (1, in)
    return base(x).mul(l.tensor().reshape([1, -1])); // (rows, out) · (1, out)
  }

  bias(path: string, bias: Tensor1D): Tensor1D {
    const l = this.vectors.get(path);
    return l && !isFeedforward(l) ? bias.mul(l.tensor().reshape([-1])) : bias;
  }

  merged(path: string): Tensor2D {
    const l = this.vectors.get(path)!;
    return tf.tidy(() => frozenWeight(this.base, `${path}.weight`).tensor().mul(l.tensor()));
  }
}

function isFeedforward({ shape }: Parameter): boolean {
  return shape[0] === 1;
}

/** Puts a vector of ones beside keys, values and the feed-forward's inner activations. */
export function addIa3(base: LlamaModel, options: Partial<Ia3Options> = {}): PeftModel<Ia3> {
  return attach(base, new Ia3(base, { ...ia3Defaults, ...options }, (name, shape) => (
    name.endsWith('.ia3_l')
      ? new Float32Array(shape[0]! * shape[1]!).fill(1)
      : frozenValues(base, name))));
}
