import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import { sizeOf } from '../shape.ts';
import { dropout } from '../tensor/dropout.ts';
import { plusUpdate } from '../tensor/linear.ts';
import type { Update } from '../tensor/linear.ts';
import { valuesOf } from '../tensor/read.ts';
import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { Base, LlamaModel, Pass } from '../model/llama.ts';
import type { Parameter } from '../model/weights.ts';
import { attach, frozenValues, frozenWeight, makeParameters, trainedWhole } from './adapter.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { asOption, patternValue, savedShapes, targetPaths } from './targets.ts';
import type { Targets, Where } from './targets.ts';

export interface LoraOptions extends Targets {
  /** Rank of the update. */
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Scale by alpha / √r instead of alpha / r (Kalajdzievski, 2023). */
  readonly useRslora: boolean;
  /** Learn the length of each row of W apart from its direction (Liu et al., 2024). */
  readonly useDora: boolean;
  /** Other ranks and alphas for some modules: by a name, its last parts, or a regular expression for them. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly seed: number;
}

export const loraDefaults: LoraOptions = {
  r: 16, alpha: 16, dropout: 0.05, useRslora: false, useDora: false,
  targetModules: 'all-linear', rankPattern: {}, alphaPattern: {}, seed: 42,
};

interface Target {
  readonly path: string;
  readonly r: number;
  readonly scaling: number;
}

/**
 * Every parameter that an adapter trains, by its name in a PEFT file, with its shape. Nothing is allocated.
 *
 * @throws UserError when an option makes no sense for this model.
 */
export function loraShapes(config: LlamaConfig, options: LoraOptions, where: Where = asOption): Map<string, number[]> {
  const weights = weightShapes(config);
  const shapes = new Map<string, number[]>();
  for (const { path, r } of targetsOf(config, options, where)) {
    const [out, input] = weights.get(`${path}.weight`) as [number, number];
    shapes.set(`${path}.lora_A.weight`, [r, input]);
    shapes.set(`${path}.lora_B.weight`, [out, r]);
    if (options.useDora) shapes.set(`${path}.lora_magnitude_vector`, [out]);
  }
  return new Map([...shapes, ...savedShapes(config, options, where)]);
}

function targetsOf(config: LlamaConfig, options: LoraOptions, where: Where): Target[] {
  checkOptions(options, where);
  const rank = patternValue(options.rankPattern, 'rank_pattern', where);
  const alpha = patternValue(options.alphaPattern, 'alpha_pattern', where);
  return targetPaths(config, options, where).map((path) => {
    const r = rank(path) ?? options.r;
    return { path, r, scaling: (alpha(path) ?? options.alpha) / (options.useRslora ? Math.sqrt(r) : r) };
  });
}

function checkOptions({ r, dropout, rankPattern }: LoraOptions, where: Where): void {
  checkRank('r', r, where);
  Object.values(rankPattern).forEach((rank) => checkRank('rank_pattern', rank, where));
  checkDropout(dropout, where);
}

/** @throws UserError if the rank is no whole number from 1 on */
export function checkRank(field: string, rank: number, where: Where): void {
  if (Number.isInteger(rank) && rank >= 1) return;
  throw new UserError(`${where(field)}: el rango ${rank} no es válido; se esperaba un entero de 1 o más (por ejemplo 16).`);
}

/** @throws UserError if it is no share from 0 to less than 1 */
export function checkDropout(dropout: number, where: Where): void {
  if (dropout >= 0 && dropout < 1) return;
  throw new UserError(
    `${where('dropout')}: ${dropout} no es válido; se esperaba un número de 0 a menos de 1 (por ejemplo 0.05).`,
  );
}

/** The update of one layer: scaling · b · a, where a is (r, in) and b is (out, r). */
export interface LoraFactors {
  readonly a: Parameter;
  readonly b: Parameter;
  readonly scaling: number;
}

/** What an adapter is given of a layer's input: in training, some of it is dropped. */
export function keptOf(x: Tensor2D, rate: number, path: string, pass: Pass): Tensor2D {
  return pass.training && rate > 0 ? dropout(x, rate, pass.seed, path) : x;
}

/** s · x Aᵀ Bᵀ, for the layer to add. x: (rows, in). */
export function updateOf(x: Tensor2D, { a, b, scaling }: LoraFactors): Update {
  return { x, a: a.tensor() as Tensor2D, b: b.tensor() as Tensor2D, scaling };
}

/** One adapted layer: magnitude (out) is DoRA's. */
interface LoraLayer extends LoraFactors {
  readonly magnitude: Parameter | undefined;
  /** ‖W‖² of each row, and ‖W + s·BA‖ for the versions of A and B that it was computed from. */
  squares?: Float32Array;
  norm?: { readonly a: number; readonly b: number; readonly values: Float32Array };
}

/**
 * LoRA (Hu et al., 2021): y = x Wᵀ + s · dropout(x) Aᵀ Bᵀ, with s = alpha / r, or alpha / √r in rsLoRA.
 * DoRA: y = m / ‖W + s·BA‖ · (x Wᵀ + s · x Aᵀ Bᵀ), the norm of each row, which is taken as a constant on the way back.
 */
export class Lora implements PeftAdapter {
  readonly peftType = 'LORA';
  readonly takesSameSteps = true;
  readonly parameters: readonly Parameter[];
  readonly saved: ReadonlyMap<string, Parameter>;
  private readonly layers: ReadonlyMap<string, LoraLayer>;

  /** @param values the initial values of a parameter. */
  constructor(
    private readonly base: LlamaModel,
    readonly options: LoraOptions,
    values: (name: string, shape: readonly number[]) => Float32Array,
    where: Where = asOption,
  ) {
    const parameters = makeParameters(loraShapes(base.config, options, where), values);
    this.parameters = [...parameters.values()];
    this.layers = new Map(targetsOf(base.config, options, where).map(({ path, scaling }) => [path, {
      a: parameters.get(`${path}.lora_A.weight`)!,
      b: parameters.get(`${path}.lora_B.weight`)!,
      magnitude: parameters.get(`${path}.lora_magnitude_vector`),
      scaling,
    }]));
    this.saved = trainedWhole(parameters);
  }

  get targets(): ReadonlySet<string> {
    return new Set(this.layers.keys());
  }

  /** What a layer learnt; undefined for one that it does not change. */
  factors(path: string): LoraFactors | undefined {
    return this.layers.get(path);
  }

  apply(path: string, x: Tensor2D, base: Base, pass: Pass): Tensor2D {
    const layer = this.layers.get(path);
    if (!layer) return base(x);
    const kept = keptOf(x, this.options.dropout, path, pass);
    const update = updateOf(kept, layer);
    if (!layer.magnitude) return base(x, update); // (rows, out)
    const factor = layer.magnitude.tensor().div(tf.tensor1d(this.norms(path, layer, base))); // (out)
    if (kept === x) return base(x, update).mul(factor);
    // As PEFT: the frozen product itself is not dropped out, what DoRA changes of it is.
    const frozen = base(kept); // (rows, out)
    return base(x).sub<Tensor2D>(frozen).add(plusUpdate(frozen, update).mul<Tensor2D>(factor));
  }

  /** W + s·BA, in DoRA with its rows brought to the learnt magnitudes: what a merged model has. (out, in) */
  merged(path: string): Tensor2D {
    const layer = this.layers.get(path);
    return tf.tidy(() => {
      const w = frozenWeight(this.base, `${path}.weight`).tensor() as Tensor2D;
      if (!layer) return w.clone();
      const [a, b] = [layer.a.tensor() as Tensor2D, layer.b.tensor() as Tensor2D];
      const sum = w.add<Tensor2D>(tf.matMul(b, a).mul(layer.scaling));
      if (!layer.magnitude) return sum;
      const norm = sum.square().sum(1).sqrt(); // (out)
      return sum.mul(layer.magnitude.tensor().div(norm).expandDims(1));
    });
  }

  /**
   * ‖W + s·BA‖ of each row, from ‖W‖² + 2s·B(WAᵀ) + s²·B(AAᵀ)Bᵀ: no matrix of W's size is made, and the first term
   * is computed once. Through plain numbers, as no gradient passes; kept until A or B change.
   */
  private norms(path: string, layer: LoraLayer, base: Base): Float32Array {
    const [{ version: a }, { version: b }] = [layer.a, layer.b];
    if (layer.norm?.a === a && layer.norm.b === b) return layer.norm.values;
    const s = layer.scaling;
    const values = valuesOf(() => {
      const [a, b] = [layer.a.tensor() as Tensor2D, layer.b.tensor() as Tensor2D];
      layer.squares ??= rowSquares(this.base, path);
      const cross = base(a).transpose(); // W Aᵀ: (out, r)
      const gram = tf.matMul(a, a, false, true); // (r, r)
      const change = b.mul(cross.mul(2 * s).add(tf.matMul(b, gram).mul(s * s))).sum(1); // (out)
      return tf.tensor1d(layer.squares).add(change).sqrt();
    });
    layer.norm = { a, b, values };
    return values;
  }
}

/** ‖W‖² of each row of a frozen weight. */
function rowSquares(base: LlamaModel, path: string): Float32Array {
  return valuesOf(() => frozenWeight(base, `${path}.weight`).tensor().square().sum(1));
}

/** Puts rank-r adapters on the model's linear layers; the base stays frozen, and answers as before until it learns. */
export function addLora(base: LlamaModel, options: Partial<LoraOptions> = {}): PeftModel<Lora> {
  const given = { ...loraDefaults, ...options };
  return attach(base, new Lora(base, given, initialValues(base, given.seed)));
}

/** A ~ U(±1/√in), which is Kaiming's with a = √5; B = 0; magnitudes and whole modules as the base has them. */
function initialValues(base: LlamaModel, seed: number): (name: string, shape: readonly number[]) => Float32Array {
  const random = Random.for(seed, 'lora');
  return (name, shape) => {
    const size = sizeOf(shape);
    if (name.endsWith('.lora_A.weight')) {
      const bound = 1 / Math.sqrt(shape[1]!);
      return Float32Array.from({ length: size }, () => (2 * random.uniform() - 1) * bound);
    }
    if (name.endsWith('.lora_B.weight')) return new Float32Array(size);
    if (name.endsWith('.lora_magnitude_vector')) {
      return rowSquares(base, name.replace(/\.lora_magnitude_vector$/, '')).map(Math.sqrt);
    }
    return frozenValues(base, name);
  };
}
