import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { LlamaModel } from '../model/llama.ts';
import { Parameter } from '../model/weights.ts';
import type { Weight } from '../model/weights.ts';
import { sizeOf } from '../shape.ts';
import { valuesOf } from '../tensor/read.ts';

/** What the loop trains: a model, and the parameters of it (or of its adapter) that may change. */
export interface Trainable {
  readonly base: LlamaModel;
  readonly parameters: readonly Parameter[];
  readonly hooks?: TrainingHooks | undefined;
}

/** What a method does in the training loop besides following its gradients. Gradients come in `parameters`' order. */
export interface TrainingHooks {
  /**
   * Before the first step, and before the first one of a resumed run.
   * @throws UserError when the method has no use for so few steps
   */
  start?(steps: number): void;
  /** Whether each batch goes through twice, by two draws that should agree: see `consistentLossAndGradients`. */
  readonly consistent?: boolean;
  /** A penalty on the parameters alone, once an optimizer step: its gradients are added to those of the loss. */
  penalty?(): Float32Array[];
  /** After the optimizer's step, with the gradients that it took, clipped. Parameters that it changes it uploads. */
  afterStep?(step: number, gradients: readonly Float32Array[]): void;
  /** What else decides the rest of the run, by name: a checkpoint keeps these arrays, and a resumed run fills them. */
  readonly state?: ReadonlyMap<string, Float32Array>;
}

/**
 * Every weight of a model trainable: full fine-tuning, what adapters are measured against. The model given is given up:
 * its weights, wide from then on, pass to the one trained.
 */
export function unfreeze({ config, weights }: LlamaModel): Trainable {
  const parameters = [...weights].map(([name, weight]) => {
    const values = valuesOf(() => weight.tensor());
    weight.dispose();
    return new Parameter(name, values, weight.shape);
  });
  const trained = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return { base: new LlamaModel(config, trained), parameters };
}

/** Frees what a model and its training hold on the device: another may follow in this process. */
export function disposeTrained({ base, parameters }: Trainable): void {
  base.dispose();
  parameters.forEach((parameter) => parameter.dispose());
}

export interface ParameterCount {
  readonly trainable: number;
  readonly all: number;
  readonly percent: number;
  /** As PEFT's `print_trainable_parameters()` prints it; of AdaLoRA it counts `ranknum` too, one a module. */
  readonly line: string;
}

/** How many parameters are trained, of how many. */
export function trainableParameters({ base, parameters }: Trainable): ParameterCount {
  // In full fine-tuning the parameters are the model's own weights: each counts once.
  const all = new Set<Pick<Weight, 'shape'>>([...base.weights.values(), ...parameters]);
  return parameterCount(parameters.map(({ shape }) => shape), [...all].map(({ shape }) => shape));
}

/**
 * The same, of an adapter that is not there, on a model that is not loaded: from the shapes alone.
 *
 * @param adapter what `loraShapes` or `ia3Shapes` gives for that configuration.
 */
export function countParameters(config: LlamaConfig, adapter: ReadonlyMap<string, readonly number[]>): ParameterCount {
  const trained = [...adapter.values()];
  return parameterCount(trained, [...weightShapes(config).values(), ...trained]);
}

function parameterCount(
  trainedShapes: readonly (readonly number[])[], allShapes: readonly (readonly number[])[],
): ParameterCount {
  const count = (shapes: readonly (readonly number[])[]) =>
    shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const [trainable, all] = [count(trainedShapes), count(allShapes)];
  const percent = 100 * trainable / all;
  const grouped = (n: number) => n.toLocaleString('en-US');
  return {
    trainable, all, percent,
    line: `trainable params: ${grouped(trainable)} || all params: ${grouped(all)} || trainable%: ${percent.toFixed(4)}`,
  };
}
