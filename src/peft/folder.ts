import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import type { LlamaModel } from '../model/llama.ts';
import { linearNames } from '../model/config.ts';
import { Lora, loraDefaults } from './lora.ts';
import type { LoraOptions, PeftModel } from './lora.ts';
import type { Where } from './targets.ts';

/** PEFT wraps the model twice, and its names tell. */
const prefix = 'base_model.model.';
const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';

/** Writes an adapter as the folder that PEFT's `PeftModel.from_pretrained` opens. */
export function saveAdapter({ adapter }: PeftModel, folder: string, { baseModel }: { baseModel: string }): void {
  const o = adapter.options;
  const tensors = Object.fromEntries(adapter.parameters.map(({ name, shape, values }) => [
    prefix + name, { dtype: 'F32' as const, shape: [...shape], data: values },
  ]));
  writeSafetensors(join(folder, weightsFile), tensors, { format: 'pt' });
  writeFileAtomic(join(folder, configFile), `${JSON.stringify({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r: o.r,
    lora_alpha: o.alpha,
    lora_dropout: o.dropout,
    use_rslora: o.useRslora,
    use_dora: o.useDora,
    target_modules: o.targetModules === 'all-linear' ? linearNames.map((name) => name.split('.')[1]) : o.targetModules,
    exclude_modules: o.excludeModules ?? null,
    layers_to_transform: o.layersToTransform ?? null,
    layers_pattern: o.layersPattern ?? null,
    rank_pattern: o.rankPattern,
    alpha_pattern: o.alphaPattern,
    modules_to_save: o.modulesToSave ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
  }, null, 2)}\n`);
  const kind = o.useDora ? 'DoRA' : o.useRslora ? 'rsLoRA' : 'LoRA';
  writeFileAtomic(join(folder, 'README.md'), `---
base_model: ${baseModel}
library_name: peft
---

${kind} adapter, r = ${o.r}, alpha = ${o.alpha}, written by \`npm run demo\`.
`);
}

const peftType = z.object({ peft_type: z.string() });

const names = z.union([z.string(), z.array(z.string())], { error: 'se esperaba un texto o una lista de textos' });
const layer = z.int().nonnegative();
const given = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

/** What would change the answers and is not done here must be off, whatever its name: PEFT itself would read it. */
const off = z.unknown().refine(
  (value) => !value || (typeof value === 'object' && Object.keys(value).length === 0),
  'este programa no hace lo que pide; solo se admite vacío o desactivado',
);

const adapterConfig = z.object({
  r: z.number().int().positive(),
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().nullish().transform(Boolean),
  use_dora: z.boolean().nullish().transform(Boolean),
  target_modules: z.union([z.string().min(1), z.array(z.string()).min(1)], { error: 'se esperaba «all-linear», una lista o una expresión regular' }),
  exclude_modules: names.nullish().transform(given),
  layers_to_transform: z.union([layer, z.array(layer)], { error: 'se esperaba un entero o una lista' }).nullish().transform(given),
  layers_pattern: names.nullish().transform(given),
  rank_pattern: z.record(z.string(), z.number().int().positive()).nullish().transform((table) => table ?? {}),
  alpha_pattern: z.record(z.string(), z.number()).nullish().transform((table) => table ?? {}),
  modules_to_save: z.array(z.string()).nullish().transform(given),
  task_type: z.literal('CAUSAL_LM', { error: 'solo se admite «CAUSAL_LM»' }).nullish(),
  bias: z.literal('none', { error: 'solo se admite «none»' }).nullish(),
  // The others change the base too, when PEFT loads the adapter: pissa, olora, corda, loftq, lora_ga.
  init_lora_weights: z.union([z.boolean(), z.enum(['gaussian', 'orthogonal', 'eva', 'mica'])], {
    error: 'ese modo cambia también la base; solo se admiten true, false, gaussian, orthogonal, eva y mica',
  }).nullish(),
  // What tells where an adapter comes from, or is read only when one is made.
  ...Object.fromEntries([
    'peft_type', 'peft_version', 'auto_mapping', 'base_model_name_or_path', 'revision', 'inference_mode', 'eva_config',
    'loftq_config', 'qalora_group_size', 'megatron_core', 'runtime_config',
  ].map((field) => [field, z.unknown().optional()])),
}).catchall(off);

/**
 * Puts a saved LoRA, rsLoRA or DoRA adapter on its base.
 *
 * @throws UserError when the folder is not such an adapter, asks for what is not done here, or does not fit the model:
 *   PEFT only warns then, and answers wrong.
 */
export function loadAdapter(base: LlamaModel, folder: string): PeftModel {
  const file = join(folder, configFile);
  const { peft_type: type } = readJson(file, peftType);
  if (type !== 'LORA') {
    throw new UserError(
      `${file}: peft_type «${type}» no está soportado; se esperaba «LORA»: elige un adaptador de ese método.`,
    );
  }
  const config = readJson(file, adapterConfig);
  const options: LoraOptions = {
    ...loraDefaults,
    r: config.r, alpha: config.lora_alpha, dropout: config.lora_dropout,
    useRslora: config.use_rslora, useDora: config.use_dora,
    targetModules: config.target_modules, excludeModules: config.exclude_modules,
    layersToTransform: config.layers_to_transform, layersPattern: config.layers_pattern,
    rankPattern: config.rank_pattern, alphaPattern: config.alpha_pattern, modulesToSave: config.modules_to_save,
  };
  const where: Where = (field) => `${file}: ${field}`;
  const weights = readSafetensors(join(folder, weightsFile));
  const adapter = new Lora(base, options, (name, shape) => readWeight(weights, name, shape), where);
  const expected = new Set(adapter.parameters.map(({ name }) => prefix + name));
  const unknown = weights.names().find((name) => !expected.has(name));
  if (unknown !== undefined) {
    throw new UserError(
      `${weights.path}: el tensor «${unknown}» no corresponde a ninguna capa de este modelo; usa la base con que se entrenó.`,
    );
  }
  base.adapter = adapter;
  return { base, adapter, parameters: adapter.parameters };
}

function readWeight(weights: SafetensorsFile, parameter: string, shape: readonly number[]): Float32Array {
  const name = prefix + parameter;
  if (!weights.has(name)) {
    throw new UserError(`${weights.path}: falta el tensor «${name}»; el adaptador está incompleto o es de otro modelo.`);
  }
  const found = weights.entry(name).shape;
  if (found.join('×') !== shape.join('×')) {
    throw new UserError(
      `${weights.path}: «${name}» mide ${found.join('×')} y este modelo espera ${shape.join('×')}; `
      + 'usa la base con que se entrenó.',
    );
  }
  const values = weights.float32(name);
  if (!values.every(Number.isFinite)) {
    throw new UserError(`${weights.path}: «${name}» tiene valores que no son números; vuelve a guardar el adaptador.`);
  }
  return values;
}
