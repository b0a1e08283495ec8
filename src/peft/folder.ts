import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import type { LlamaModel } from '../model/llama.ts';
import { linearNames } from '../model/config.ts';
import { addLora, loraDefaults } from './lora.ts';
import type { PeftModel } from './lora.ts';

/** PEFT wraps the model twice, and its names tell. */
const prefix = 'base_model.model.';
const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';

/** Writes an adapter as the folder that PEFT's `PeftModel.from_pretrained` opens. */
export function saveAdapter({ adapter }: PeftModel, folder: string, { baseModel }: { baseModel: string }): void {
  const { r, alpha, dropout, targetModules } = adapter.options;
  const tensors = Object.fromEntries(adapter.parameters.map(({ name, shape, values }) => [
    prefix + name, { dtype: 'F32' as const, shape: [...shape], data: values },
  ]));
  writeSafetensors(join(folder, weightsFile), tensors, { format: 'pt' });
  writeFileAtomic(join(folder, configFile), `${JSON.stringify({
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    r,
    lora_alpha: alpha,
    lora_dropout: dropout,
    target_modules: targetModules === 'all-linear' ? linearNames.map((name) => name.split('.')[1]) : targetModules,
    bias: 'none',
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
  }, null, 2)}\n`);
  writeFileAtomic(join(folder, 'README.md'), `---
base_model: ${baseModel}
library_name: peft
---

LoRA adapter, r = ${r}, alpha = ${alpha}, written by \`npm run demo\`.
`);
}

const peftType = z.object({ peft_type: z.string() });

/** What would change the answers and is not done here must be off: PEFT itself would read it. */
const off = z.literal(false, { error: 'solo se admite «false»' }).optional();
const adapterConfig = z.object({
  r: z.number().int().positive(),
  lora_alpha: z.number(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: z.union([z.string(), z.array(z.string()).min(1)]),
  use_rslora: off,
  use_dora: off,
  fan_in_fan_out: off,
  bias: z.literal('none', { error: 'solo se admite «none»' }).optional(),
});

/**
 * Puts a saved LoRA adapter on its base.
 *
 * @throws UserError when the folder is not a LoRA adapter, or does not fit the model: PEFT only warns then, and
 *   answers wrong.
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
  const targetModules = targetsOf(config.target_modules, file);
  const model = addLora(base, {
    ...loraDefaults, r: config.r, alpha: config.lora_alpha, dropout: config.lora_dropout, targetModules,
  });
  try {
    readWeights(model, folder);
  } catch (error) {
    base.adapter = undefined;
    throw error;
  }
  return model;
}

function targetsOf(targets: string | string[], file: string): 'all-linear' | string[] {
  if (targets === 'all-linear') return targets;
  const known = linearNames.map((name) => name.split('.')[1]!);
  const unknown = typeof targets === 'string' ? targets : targets.find((target) => !known.includes(target));
  if (unknown === undefined) return targets as string[];
  throw new UserError(
    `${file}: no existe el módulo «${unknown}» de target_modules; los conocidos son ${known.join(', ')}, o «all-linear» `
    + 'para todos.',
  );
}

/** Every tensor that the adapter needs, and no other; nothing is changed before all of them are found to fit. */
function readWeights(model: PeftModel, folder: string): void {
  const weights = join(folder, weightsFile);
  const saved = readSafetensors(weights);
  const expected = new Map(model.parameters.map((parameter) => [prefix + parameter.name, parameter]));
  const unknown = saved.names().find((name) => !expected.has(name));
  if (unknown !== undefined) {
    throw new UserError(
      `${weights}: el tensor «${unknown}» no corresponde a ninguna capa de este modelo; usa la base con que se entrenó.`,
    );
  }
  const read = [...expected].map(([name, parameter]) => {
    if (!saved.has(name)) {
      throw new UserError(`${weights}: falta el tensor «${name}»; el adaptador está incompleto o es de otro modelo.`);
    }
    const { shape } = saved.entry(name);
    if (shape.join('×') !== parameter.shape.join('×')) {
      throw new UserError(
        `${weights}: «${name}» mide ${shape.join('×')} y este modelo espera ${parameter.shape.join('×')}; `
        + 'usa la base con que se entrenó.',
      );
    }
    return { parameter, values: saved.float32(name) };
  });
  for (const { parameter, values } of read) {
    parameter.values.set(values);
    parameter.upload();
  }
}
