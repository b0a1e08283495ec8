import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { LlamaModel, Pass } from '../model/llama.ts';
import type { Parameter } from '../model/weights.ts';
import { Random } from '../random.ts';
import { linear } from '../tensor/linear.ts';
import { attach, frozenValues, frozenWeight, makeParameters, trainedWhole } from './adapter.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { checkDropout, checkRank, keptOf } from './lora.ts';
import { RankAllocator } from './rank-allocator.ts';
import type { BudgetOptions, Triplets } from './rank-allocator.ts';
import { asOption, savedShapes, targetPaths } from './targets.ts';
import type { Targets, Where } from './targets.ts';

export interface AdaLoraOptions extends Targets, BudgetOptions {
  /** Rank of each layer at the beginning: half as much again as `r` if not said, as in the paper. */
  readonly initR?: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly seed: number;
}

/** Those of PEFT, but for the phases, which are parts of the run; and r, alpha and dropout as LoRA has them here. */
export const adaLoraDefaults: AdaLoraOptions = {
  r: 16, alpha: 16, dropout: 0.05, deltaT: 1, beta1: 0.85, beta2: 0.85, orthRegWeight: 0.5,
  targetModules: 'all-linear', seed: 42,
};

/** The rank that each layer begins with. */
export function initialRank({ r, initR }: Pick<AdaLoraOptions, 'r' | 'initR'>): number {
  return initR ?? Math.ceil(1.5 * r);
}

/**
 * Every parameter that the adapter trains, by its name in a PEFT file, with its shape.
 *
 * @throws UserError when an option makes no sense for this model.
 */
export function adaLoraShapes(
  config: LlamaConfig, options: AdaLoraOptions, where: Where = asOption,
): Map<string, number[]> {
  checkOptions(options, where);
  const weights = weightShapes(config);
  const r = initialRank(options);
  const triplets = targetPaths(config, options, where).flatMap((path): [string, number[]][] => {
    const [out, input] = weights.get(`${path}.weight`) as [number, number];
    return [[`${path}.lora_A`, [r, input]], [`${path}.lora_E`, [r, 1]], [`${path}.lora_B`, [out, r]]];
  });
  return new Map([...triplets, ...savedShapes(config, options, where)]);
}

function checkOptions(options: AdaLoraOptions, where: Where): void {
  const { r, alpha, dropout, deltaT, tinit = 0, tfinal = 0, beta1, beta2, orthRegWeight } = options;
  const initR = initialRank(options);
  const check = (field: string, value: number, isRight: boolean, expected: string) => {
    if (!isRight) throw new UserError(`${where(field)}: ${value} no es válido en AdaLoRA; se esperaba ${expected}.`);
  };
  const isStep = (value: number, least: number) => Number.isInteger(value) && value >= least;
  checkRank('r', r, where);
  check('init_r', initR, isStep(initR, r + 1), `un entero mayor que el rango final, ${r}`);
  check('alpha', alpha, alpha > 0, 'un número mayor que 0');
  checkDropout(dropout, where);
  check('delta_t', deltaT, isStep(deltaT, 1), 'un entero de 1 o más');
  check('tinit', tinit, isStep(tinit, 0), 'un entero de 0 o más');
  check('tfinal', tfinal, isStep(tfinal, 0), 'un entero de 0 o más');
  check('beta1', beta1, beta1 > 0 && beta1 < 1, 'un número entre 0 y 1');
  check('beta2', beta2, beta2 > 0 && beta2 < 1, 'un número entre 0 y 1');
  check('orth_reg_weight', orthRegWeight, orthRegWeight >= 0, 'un número de 0 o más');
}

/**
 * AdaLoRA (Zhang et al., 2023): y = x Wᵀ + s · dropout(x) (A ∘ E)ᵀ Bᵀ, with A (r, in), E (r, 1) and B (out, r): the
 * triplets of a singular value decomposition, of which training drops the least important of all layers.
 * s = alpha / (r + 1e-5), with the initial r, as in PEFT.
 */
export class AdaLora implements PeftAdapter {
  readonly peftType = 'ADALORA';
  readonly parameters: readonly Parameter[];
  readonly saved: ReadonlyMap<string, Parameter>;
  readonly hooks: RankAllocator;
  private readonly layers: ReadonlyMap<string, Triplets>;
  private readonly scaling: number;

  /** @param values the initial values of a parameter. */
  constructor(
    private readonly base: LlamaModel,
    readonly options: AdaLoraOptions,
    values: (name: string, shape: readonly number[]) => Float32Array,
    where: Where = asOption,
  ) {
    const parameters = makeParameters(adaLoraShapes(base.config, options, where), values);
    this.parameters = [...parameters.values()];
    this.saved = trainedWhole(parameters);
    const r = initialRank(options);
    this.scaling = options.alpha / (r + 1e-5);
    this.layers = new Map(targetPaths(base.config, options, where).map((path) => [path, {
      a: parameters.get(`${path}.lora_A`)!,
      e: parameters.get(`${path}.lora_E`)!,
      b: parameters.get(`${path}.lora_B`)!,
      mask: new Float32Array(r).fill(1),
    }]));
    this.hooks = new RankAllocator(options, this.layers, this.parameters);
  }

  get targets(): ReadonlySet<string> {
    return new Set(this.layers.keys());
  }

  /** Which triplets each layer keeps: its rank is how many they are. */
  get masks(): ReadonlyMap<string, Float32Array> {
    return new Map([...this.layers].map(([path, { mask }]) => [path, mask]));
  }

  /**
   * The triplets of each layer that are part of the adapter as it is: those that it keeps, and those that say something
   * all the same. Where training ends between two allocations, or goes back to earlier parameters, there are such.
   */
  get present(): ReadonlyMap<string, readonly boolean[]> {
    return new Map([...this.layers].map(([path, { e, mask }]) =>
      [path, Array.from(mask, (kept, i) => kept === 1 || e.values[i] !== 0)]));
  }

  apply(path: string, x: Tensor2D, base: (x: Tensor2D) => Tensor2D, pass: Pass): Tensor2D {
    const layer = this.layers.get(path);
    const y = base(x); // (rows, out)
    if (!layer) return y;
    const kept = keptOf(x, this.options.dropout, path, pass);
    const low = linear(kept, layer.a.tensor() as Tensor2D, true); // (rows, r)
    const scaled = low.mul<Tensor2D>(layer.e.tensor().reshape([1, -1])); // (rows, r)
    return y.add(linear(scaled, layer.b.tensor() as Tensor2D, true).mul(this.scaling)); // (rows, out)
  }

  merged(path: string): Tensor2D {
    const { a, e, b } = this.layers.get(path)!;
    return tf.tidy(() => {
      const change = tf.matMul(b.tensor() as Tensor2D, a.tensor().mul<Tensor2D>(e.tensor())); // (out, in)
      return frozenWeight(this.base, `${path}.weight`).tensor().add(change.mul(this.scaling));
    });
  }
}

/** Puts triplets on the model's linear layers, their singular values 0: the base answers as before until it learns. */
export function addAdaLora(base: LlamaModel, options: Partial<AdaLoraOptions> = {}): PeftModel<AdaLora> {
  const given = { ...adaLoraDefaults, ...options };
  const random = Random.for(given.seed, 'adalora');
  return attach(base, new AdaLora(base, given, (name, shape) => {
    if (!name.includes('.lora_')) return frozenValues(base, name);
    const values = new Float32Array(shape[0]! * shape[1]!);
    return name.endsWith('.lora_E') ? values : values.map(() => 0.02 * random.normal());
  }));
}
