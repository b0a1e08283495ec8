import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import { dropout } from '../tensor/dropout.ts';
import { linear } from '../tensor/ops.ts';
import { linearNames, weightShapes } from '../model/config.ts';
import type { Adapter, LlamaModel, Pass } from '../model/llama.ts';
import { Parameter } from '../model/weights.ts';

export interface LoraOptions {
  /** Rank of the update. */
  readonly r: number;
  readonly alpha: number;
  readonly dropout: number;
  /** `all-linear`, or the last parts of module names, as `['q_proj', 'v_proj']`. */
  readonly targetModules: 'all-linear' | readonly string[];
  readonly seed: number;
}

export const loraDefaults: LoraOptions = { r: 16, alpha: 16, dropout: 0.05, targetModules: 'all-linear', seed: 42 };

/** The two thin matrices of one layer: a is (r, in), b is (out, r). */
interface LoraPair {
  readonly a: Parameter;
  readonly b: Parameter;
}

/**
 * LoRA (Hu et al., 2021): y = x Wᵀ + (alpha / r) · dropout(x) Aᵀ Bᵀ, with A ~ U(±1/√in) and B = 0,
 * so that training starts from the base model's own outputs.
 */
export class Lora implements Adapter {
  private readonly pairs = new Map<string, LoraPair>();

  constructor(model: LlamaModel, readonly options: LoraOptions) {
    checkOptions(options);
    const random = Random.for(options.seed, 'lora');
    for (const [name, shape] of weightShapes(model.config)) {
      const path = name.replace(/\.weight$/, '');
      if (!isTarget(path, options.targetModules)) continue;
      const [out, input] = shape as [number, number];
      const bound = 1 / Math.sqrt(input); // Kaiming's uniform with a = √5
      const a = Float32Array.from({ length: options.r * input }, () => (2 * random.uniform() - 1) * bound);
      this.pairs.set(path, {
        a: new Parameter(`${path}.lora_A.weight`, a, [options.r, input]),
        b: new Parameter(`${path}.lora_B.weight`, new Float32Array(out * options.r), [out, options.r]),
      });
    }
  }

  get parameters(): Parameter[] {
    return [...this.pairs.values()].flatMap(({ a, b }) => [a, b]);
  }

  get scaling(): number {
    return this.options.alpha / this.options.r;
  }

  apply(path: string, x: Tensor2D, base: (x: Tensor2D) => Tensor2D, pass: Pass): Tensor2D {
    const pair = this.pairs.get(path);
    const y = base(x); // (rows, out)
    if (!pair) return y;
    const { dropout: rate } = this.options;
    const kept = pass.training && rate > 0 ? dropout(x, rate, Random.for(pass.seed, path).uint32()) : x;
    const low = linear(kept, pair.a.tensor() as Tensor2D, true); // (rows, r)
    return y.add(linear(low, pair.b.tensor() as Tensor2D, true).mul(this.scaling));
  }
}

/** A frozen base and the adapter being trained on it. */
export interface PeftModel {
  readonly base: LlamaModel;
  readonly adapter: Lora;
  readonly parameters: readonly Parameter[];
}

/** Puts rank-r adapters on the model's linear layers; the base stays frozen. */
export function addLora(base: LlamaModel, options: Partial<LoraOptions> = {}): PeftModel {
  const adapter = new Lora(base, { ...loraDefaults, ...options });
  base.adapter = adapter;
  return { base, adapter, parameters: adapter.parameters };
}

function checkOptions({ r, dropout, targetModules }: LoraOptions): void {
  if (!Number.isInteger(r) || r < 1) {
    throw new UserError(`--r: el rango ${r} no es válido; se esperaba un entero de 1 o más (por ejemplo 16).`);
  }
  if (!(dropout >= 0 && dropout < 1)) {
    throw new UserError(`--dropout: ${dropout} no es válido; se esperaba un número de 0 a menos de 1 (por ejemplo 0,05).`);
  }
  if (targetModules === 'all-linear') return;
  const known = linearNames.map((name) => name.split('.')[1]!);
  for (const target of targetModules) {
    if (!known.includes(target)) {
      throw new UserError(
        `--target-modules: no existe el módulo «${target}»; los conocidos son ${known.join(', ')}, o all-linear para todos.`,
      );
    }
  }
  if (targetModules.length === 0) {
    throw new UserError(`--target-modules: la lista está vacía; elige entre ${known.join(', ')}, o all-linear.`);
  }
}

function isTarget(path: string, targets: LoraOptions['targetModules']): boolean {
  const linear = linearNames.some((name) => path.endsWith(`.${name}`));
  return linear && (targets === 'all-linear' || targets.includes(path.slice(path.lastIndexOf('.') + 1)));
}
