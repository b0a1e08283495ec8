import type { LlamaModel } from '../model/llama.ts';
import type { Parameter, Weight } from '../model/weights.ts';

/** What the loop trains: a model, and the parameters of it (or of its adapter) that may change. */
export interface Trainable {
  readonly base: LlamaModel;
  readonly parameters: readonly Parameter[];
}

export interface ParameterCount {
  readonly trainable: number;
  readonly all: number;
  readonly percent: number;
  /** As PEFT's `print_trainable_parameters()` prints it. */
  readonly line: string;
}

/** How many parameters are trained, of how many. */
export function trainableParameters({ base, parameters }: Trainable): ParameterCount {
  const count = (weights: Iterable<Pick<Weight, 'shape'>>) =>
    [...weights].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const trainable = count(parameters);
  // In full fine-tuning the parameters are the model's own weights: each counts once.
  const all = count(new Set<Pick<Weight, 'shape'>>([...base.weights.values(), ...parameters]));
  const percent = 100 * trainable / all;
  const grouped = (n: number) => n.toLocaleString('en-US');
  return {
    trainable, all, percent,
    line: `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${percent.toFixed(4)}`,
  };
}
