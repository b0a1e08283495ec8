import type { LlamaModel } from '../model/llama.ts';
import type { PeftModel } from './adapter.ts';
import { addLora } from './lora.ts';
import type { LoraOptions } from './lora.ts';
import type { Targets } from './targets.ts';

/** The options of all methods; each takes what is its own, and has defaults for the rest. */
export type MethodOptions = Partial<LoraOptions>;

interface Method {
  /** Its name in print. */
  readonly title: string;
  readonly targetModules: Targets['targetModules'];
  /** The options that it heeds, beside the modules and the seed. */
  readonly options: readonly (keyof MethodOptions)[];
  readonly add: (base: LlamaModel, options: MethodOptions) => PeftModel;
}

const lora = { targetModules: 'all-linear', options: ['r', 'alpha', 'dropout'] } as const;

/** Every method, by the name that `--peft` takes. */
export const methods = {
  lora: { ...lora, title: 'LoRA', add: addLora },
  rslora: { ...lora, title: 'rsLoRA', add: (base, options) => addLora(base, { ...options, useRslora: true }) },
  dora: { ...lora, title: 'DoRA', add: (base, options) => addLora(base, { ...options, useDora: true }) },
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof methods;

export type AdapterOptions = MethodOptions & { readonly method?: MethodName };

export const methodNames = Object.keys(methods) as MethodName[];

/** Puts an adapter on the model's linear layers; the base stays frozen, and answers as before until it learns. */
export function addAdapter(base: LlamaModel, { method = 'lora', ...options }: AdapterOptions): PeftModel {
  const { targetModules, add }: Method = methods[method];
  return add(base, { targetModules, ...options });
}
