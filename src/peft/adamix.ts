import type { Tensor2D } from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { Base, LlamaModel, Pass } from '../model/llama.ts';
import { Parameter } from '../model/weights.ts';
import { Random } from '../random.ts';
import { attach } from './adapter.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { addLora, keptOf, loraDefaults, updateOf } from './lora.ts';
import type { Lora, LoraFactors, LoraOptions } from './lora.ts';

export interface AdaMixOptions extends LoraOptions {
  /** Adapters a layer, of which each pass draws one. */
  readonly experts: number;
}

const adaMixDefaults: AdaMixOptions = { ...loraDefaults, experts: 4 };

/** The several A and B of a layer, and the average that they come to. */
interface Mixture {
  readonly a: readonly Parameter[];
  readonly b: readonly Parameter[];
  readonly average: LoraFactors;
  /** The versions of them that the average was last made of. */
  of?: readonly number[];
}

/**
 * AdaMix (Wang et al., 2022) of LoRA: in training each pass draws one A and one B a layer, each by itself, for the
 * whole batch. Afterwards the layer has the average of its As and that of its Bs: one adapter, at the cost of one.
 */
export class AdaMix implements PeftAdapter {
  readonly peftType = 'LORA';
  readonly parameters: readonly Parameter[];
  readonly saved: ReadonlyMap<string, Parameter> = new Map();
  readonly hooks = { consistent: true };
  private readonly average: Lora;
  private readonly layers: ReadonlyMap<string, Mixture>;

  /** @throws UserError when an option makes no sense for this model */
  constructor(base: LlamaModel, readonly options: AdaMixOptions) {
    const { experts } = options;
    if (!Number.isInteger(experts) || experts < 1) {
      throw new UserError(`--experts: ${experts} no es válido; se esperaba un entero de 1 o más (por ejemplo 4).`);
    }
    this.average = addLora(base, options).adapter;
    // All begin the same, as in the authors' code: the average of unlike random As would be of no use.
    const copies = ({ name, values, shape }: Parameter) => Array.from({ length: experts }, (_, m) =>
      new Parameter(name.replace(/\.weight$/, `.${m}.weight`), values.slice(), shape));
    this.layers = new Map([...this.average.targets].map((path) => {
      const average = this.average.factors(path)!;
      return [path, { a: copies(average.a), b: copies(average.b), average }];
    }));
    this.parameters = [...this.layers.values()].flatMap(({ a, b }) => [...a, ...b]);
  }

  get targets(): ReadonlySet<string> {
    return this.average.targets;
  }

  apply(path: string, x: Tensor2D, base: Base, pass: Pass): Tensor2D {
    const layer = this.layers.get(path);
    if (!layer) return base(x);
    if (!pass.training) {
      this.settle(layer);
      return this.average.apply(path, x, base, pass);
    }
    const random = Random.for(pass.seed, 'adamix', path); // the same when a block is computed again
    const drawn = { a: random.pick(layer.a), b: random.pick(layer.b), scaling: layer.average.scaling };
    return base(x, updateOf(keptOf(x, this.options.dropout, path, pass), drawn)); // (rows, out)
  }

  merged(path: string): Tensor2D {
    return this.finished().merged(path);
  }

  finished(): Lora {
    for (const layer of this.layers.values()) this.settle(layer);
    return this.average;
  }

  /** Makes the average again where its parts have changed. */
  private settle(layer: Mixture): void {
    const now = [...layer.a, ...layer.b].map(({ version }) => version);
    if (now.every((version, i) => version === layer.of?.[i])) return;
    for (const [parts, mean] of [[layer.a, layer.average.a], [layer.b, layer.average.b]] as const) {
      mean.values.forEach((_, i) => {
        mean.values[i] = parts.reduce((sum, { values }) => sum + values[i]!, 0) / parts.length;
      });
      mean.upload();
    }
    layer.of = now;
  }
}

/** Puts several rank-r adapters on each linear layer, to be drawn from in training and averaged after it. */
export function addAdaMix(base: LlamaModel, options: Partial<AdaMixOptions> = {}): PeftModel<AdaMix> {
  return attach(base, new AdaMix(base, { ...adaMixDefaults, ...options }));
}
