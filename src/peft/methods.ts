import type { LlamaModel } from '../model/llama.ts';
import type { PeftModel } from './adapter.ts';
import { UserError } from '../errors.ts';
import { addAdaLora } from './adalora.ts';
import type { AdaLoraOptions } from './adalora.ts';
import { addAdaMix } from './adamix.ts';
import type { AdaMixOptions } from './adamix.ts';
import { loadLora } from './folder.ts';
import { addIa3, ia3Defaults } from './ia3.ts';
import type { Ia3Options } from './ia3.ts';
import { addLora } from './lora.ts';
import type { LoraOptions } from './lora.ts';
import { addRouter } from './router.ts';
import type { Targets } from './targets.ts';

/** The options of all methods; each takes what is its own, and has defaults for the rest. */
export type MethodOptions = Partial<LoraOptions & AdaLoraOptions & Ia3Options & AdaMixOptions & RouterOptions>;

export interface RouterOptions {
  /** Folders of the adapters that it chooses among. */
  readonly adapters: readonly string[];
}

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
  adalora: { ...lora, title: 'AdaLoRA', add: addAdaLora },
  ia3: { title: 'IA3', targetModules: ia3Defaults.targetModules, options: [], add: addIa3 },
  adamix: { ...lora, title: 'AdaMix', options: ['experts', ...lora.options], add: addAdaMix },
  router: { ...lora, title: 'un router', options: [], add: addRouterOf },
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof methods;

export type AdapterOptions = MethodOptions & { readonly method?: MethodName };

export const methodNames = Object.keys(methods) as MethodName[];

export const tooFewAdapters = '--adapter: el router elige entre dos adaptadores LoRA o más; repite la opción con la carpeta '
  + 'de cada uno (con los datos incluidos, sin ella, los entrena antes: tantos como diga --experts, 2 o más).';

function addRouterOf(base: LlamaModel, { adapters = [] }: MethodOptions): PeftModel {
  if (adapters.length > 1) return addRouter(base, adapters.map((folder) => loadLora(base, folder)));
  throw new UserError(tooFewAdapters);
}

/** Puts an adapter on the model's linear layers; the base stays frozen, and answers as before until it learns. */
export function addAdapter(base: LlamaModel, { method = 'lora', ...options }: AdapterOptions): PeftModel {
  const { targetModules, add }: Method = methods[method];
  return add(base, { targetModules, ...options });
}
