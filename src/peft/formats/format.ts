import { z } from 'zod';
import { linearNames } from '../../model/config.ts';
import type { LlamaModel } from '../../model/llama.ts';
import type { PeftAdapter } from '../adapter.ts';
import type { Lora } from '../lora.ts';
import type { Targets, Where } from '../targets.ts';

/** A method's folder: what its `adapter_config.json` says, and the adapter that this and the tensors make. */
export interface PeftFormat<Method extends PeftAdapter> {
  /**
   * @param file the configuration's path
   * @param read the values of a tensor, by its name without PEFT's prefix
   * @param loadPart one of the adapters that lie below it
   * @throws UserError when the configuration or a tensor is not such an adapter's, or does not fit the model
   */
  open(base: LlamaModel, file: string, read: ReadTensor, loadPart: (index: number) => Lora): Method;
  /** The fields of the configuration, but for the type, the task and the base. */
  config(adapter: Method): object;
  /** The method and what it was given, for the folder's README. */
  describe(adapter: Method): string;
  /** What is saved, where it is not the parameters as they are. */
  tensors?(adapter: Method): SavedTensor[];
  /** Adapters that it is made of, saved below it in folders of their own. */
  parts?(adapter: Method): readonly Lora[];
}

export type ReadTensor = (name: string, shape: readonly number[]) => Float32Array;

export interface SavedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** How a message calls a field of the file. */
export const inFile = (file: string): Where => (field) => `${file}: ${field}`;

const names = z.union([z.string(), z.array(z.string())], { error: 'se esperaba un texto o una lista de textos' });
const layer = z.int().nonnegative();
const given = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

/** What would change the answers and is not done here must be off, whatever its name: PEFT itself would read it. */
export const off = z.unknown().refine(
  (value) => !value || (typeof value === 'object' && Object.keys(value).length === 0),
  'este programa no hace lo que pide; solo se admite vacío o desactivado',
);

/** Fields that are read by no method here: they tell where an adapter comes from, or matter when one is made. */
export const unread = (...fields: string[]) =>
  Object.fromEntries(fields.map((field) => [field, z.unknown().optional()]));

/** What the configuration of every method says. */
export const commonFields = {
  target_modules: z.union([z.string().min(1), z.array(z.string()).min(1)], { error: 'se esperaba «all-linear», una lista o una expresión regular' }),
  exclude_modules: names.nullish().transform(given),
  modules_to_save: z.array(z.string()).nullish().transform(given),
  task_type: z.literal('CAUSAL_LM', { error: 'solo se admite «CAUSAL_LM»' }).nullish(),
  ...unread('peft_type', 'peft_version', 'auto_mapping', 'base_model_name_or_path', 'revision', 'inference_mode'),
};

/** And of the methods that are kinds of LoRA. */
export const loraFields = {
  ...commonFields,
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  layers_to_transform: z.union([layer, z.array(layer)], { error: 'se esperaba un entero o una lista' }).nullish().transform(given),
  layers_pattern: names.nullish().transform(given),
  bias: z.literal('none', { error: 'solo se admite «none»' }).nullish(),
  // The others change the base too, when PEFT loads the adapter: pissa, olora, corda, loftq, lora_ga.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva', 'mica'])], {
    error: 'ese modo cambia también la base; solo se admiten true, false, gaussian, orthogonal, eva y mica',
  }).nullish(),
  ...unread('eva_config', 'loftq_config', 'qalora_group_size', 'megatron_core', 'runtime_config'),
};

type Fields = z.infer<z.ZodObject<typeof loraFields>>;
type TargetFields = Pick<Fields, 'target_modules' | 'exclude_modules' | 'modules_to_save'>
  & Partial<Pick<Fields, 'layers_to_transform' | 'layers_pattern'>>;

/** Which modules, as a configuration says it, in our options. */
export function targetsIn(config: TargetFields): Targets {
  return {
    targetModules: config.target_modules, excludeModules: config.exclude_modules,
    layersToTransform: config.layers_to_transform, layersPattern: config.layers_pattern,
    modulesToSave: config.modules_to_save,
  };
}

export function commonConfig({ targetModules, excludeModules, modulesToSave }: Targets) {
  return {
    target_modules: targetModules === 'all-linear' ? linearNames.map((name) => name.split('.')[1]!) : targetModules,
    exclude_modules: excludeModules ?? null,
    modules_to_save: modulesToSave ?? null,
    fan_in_fan_out: false,
    inference_mode: true,
  };
}

export function loraConfig(options: Targets & { readonly alpha: number; readonly dropout: number }): object {
  return {
    ...commonConfig(options),
    lora_alpha: options.alpha,
    lora_dropout: options.dropout,
    layers_to_transform: options.layersToTransform ?? null,
    layers_pattern: options.layersPattern ?? null,
    bias: 'none',
    init_lora_weights: true,
  };
}
