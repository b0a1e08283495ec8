import type { Tensor2D } from '@tensorflow/tfjs';
import type { Adapter, LlamaModel } from '../model/llama.ts';
import { Parameter } from '../model/weights.ts';
import type { Weight } from '../model/weights.ts';
import { valuesOf } from '../tensor/read.ts';
import type { Trainable, TrainingHooks } from './trainable.ts';

/** The methods that have a folder of their own, as PEFT's `adapter_config.json` names them; PEFT has no router. */
export type PeftType = 'LORA' | 'ADALORA' | 'IA3' | 'ROUTER';

/** What every method is: an adapter that is trained, saved and merged into its base. */
export interface PeftAdapter extends Adapter {
  readonly peftType: PeftType;
  /** All that it trains. */
  readonly parameters: readonly Parameter[];
  /** The layers that it changes, by their paths. */
  readonly targets: ReadonlySet<string>;
  readonly saved: ReadonlyMap<string, Parameter>;
  /** What it asks of the training loop. */
  readonly hooks?: TrainingHooks;
  /** What is saved of one that ends as an adapter of another method. */
  finished?(): PeftAdapter;
  /** A layer's weight as a merged model has it: (out, in). */
  merged(path: string): Tensor2D;
}

/** A frozen base and the adapter being trained on it. */
export interface PeftModel<Method extends PeftAdapter = PeftAdapter> extends Trainable {
  readonly adapter: Method;
}

/** The parameters of an adapter, given their shapes and their values by their names in a PEFT file. */
export function makeParameters(
  shapes: ReadonlyMap<string, readonly number[]>, values: (name: string, shape: readonly number[]) => Float32Array,
): Map<string, Parameter> {
  return new Map([...shapes].map(([name, shape]) => [name, new Parameter(name, values(name, shape), shape)]));
}

/** Those that are modules trained whole, by the names that the base has them under: not a method's own. */
export function trainedWhole(parameters: ReadonlyMap<string, Parameter>): Map<string, Parameter> {
  return new Map([...parameters].filter(([name]) => !/\.(lora_|ia3_l)/.test(name)));
}

/** The base's own weight, whatever an adapter puts in its place; a tied head's is the embedding. */
export function frozenWeight(base: LlamaModel, name: string): Weight {
  return base.weights.get(name) ?? base.weights.get('model.embed_tokens.weight')!;
}

/** Its values: those that a module trained whole begins with. */
export function frozenValues(base: LlamaModel, name: string): Float32Array {
  return valuesOf(() => frozenWeight(base, name).tensor());
}

/** Puts an adapter on a model, in place of any that it has. */
export function attach<Method extends PeftAdapter>(base: LlamaModel, adapter: Method): PeftModel<Method> {
  base.adapter = adapter;
  return { base, adapter, parameters: adapter.parameters, hooks: adapter.hooks };
}
