import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { readSafetensors, writeSafetensors } from '../checkpoint/safetensors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import type { LlamaModel } from '../model/llama.ts';
import { attach } from './adapter.ts';
import type { PeftAdapter, PeftModel, PeftType } from './adapter.ts';
import { adaLoraFormat } from './formats/adalora.ts';
import type { PeftFormat } from './formats/format.ts';
import { ia3Format } from './formats/ia3.ts';
import { loraFormat } from './formats/lora.ts';
import { routerFormat } from './formats/router.ts';
import { Lora } from './lora.ts';

/** PEFT wraps the model twice, and its names tell. */
const prefix = 'base_model.model.';
const configFile = 'adapter_config.json';
const weightsFile = 'adapter_model.safetensors';

const formats: Readonly<Record<PeftType, PeftFormat<PeftAdapter>>> = {
  LORA: loraFormat, ADALORA: adaLoraFormat, IA3: ia3Format, ROUTER: routerFormat,
};

/** Writes an adapter as the folder that PEFT's `PeftModel.from_pretrained` opens. */
export function saveAdapter(
  { adapter: trained }: Pick<PeftModel, 'adapter'>, folder: string, { baseModel }: { baseModel: string },
): void {
  const adapter = trained.finished?.() ?? trained;
  const format = formats[adapter.peftType];
  format.parts?.(adapter).forEach((part, i) => saveAdapter({ adapter: part }, partOf(folder, i), { baseModel }));
  const tensors = format.tensors?.(adapter) ?? adapter.parameters;
  writeSafetensors(join(folder, weightsFile), Object.fromEntries(tensors.map(({ name, shape, values }) => [
    prefix + name, { dtype: 'F32' as const, shape: [...shape], data: values },
  ])), { format: 'pt' });
  writeFileAtomic(join(folder, configFile), `${JSON.stringify({
    peft_type: adapter.peftType,
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    ...format.config(adapter),
  }, null, 2)}\n`);
  writeFileAtomic(join(folder, 'README.md'), `---
base_model: ${baseModel}
library_name: peft
---

${format.describe(adapter)}, written by \`npm run demo\`.
`);
}

const peftType = z.object({ peft_type: z.string() });

/**
 * Puts a saved adapter on its base.
 *
 * @throws UserError when the folder is not one of a method that there is here, asks for what is not done, or does not
 *   fit the model: PEFT only warns then, and answers wrong.
 */
export function loadAdapter(base: LlamaModel, folder: string): PeftModel {
  const file = join(folder, configFile);
  if (!existsSync(file) && existsSync(join(folder, 'adapter', configFile))) {
    throw new UserError(
      `En «${folder}» no hay ningún adaptador, y sí en «${join(folder, 'adapter')}»: indica esa carpeta.`);
  }
  const { peft_type: type } = readJson(file, peftType);
  if (!Object.hasOwn(formats, type)) {
    throw new UserError(
      `${file}: peft_type «${type}» no está soportado; se esperaba ${Object.keys(formats).join(', ')}: elige un adaptador `
      + 'de ese método.',
    );
  }
  const weights = readSafetensors(join(folder, weightsFile));
  const read = new Set<string>();
  const adapter = formats[type as PeftType].open(base, file, (parameter, shape) => {
    read.add(prefix + parameter);
    return readWeight(weights, file, prefix + parameter, shape);
  }, (i) => loadLora(base, partOf(folder, i)));
  const unknown = weights.names().find((name) => !read.has(name));
  if (unknown !== undefined) {
    throw new UserError(
      `${weights.path}: el tensor «${unknown}» no corresponde a ninguna capa de este modelo; usa la base con que se entrenó.`,
    );
  }
  return attach(base, adapter);
}

/** A saved adapter that is one of LoRA. @throws UserError if it is of another method, and as `loadAdapter` */
export function loadLora(base: LlamaModel, folder: string): Lora {
  const { adapter } = loadAdapter(base, folder);
  if (adapter instanceof Lora) return adapter;
  throw new UserError(`${folder}: es un adaptador ${adapter.peftType}, que no se reúne con otros; se esperaba uno LoRA.`);
}

function partOf(folder: string, index: number): string {
  return join(folder, 'adapters', String(index));
}

/** @param config the file that the shape follows from, with the base */
function readWeight(
  weights: SafetensorsFile, config: string, name: string, shape: readonly number[],
): Float32Array {
  if (!weights.has(name)) {
    throw new UserError(`${weights.path}: falta el tensor «${name}»; el adaptador está incompleto o es de otro modelo.`);
  }
  const found = weights.entry(name).shape;
  if (found.join('×') !== shape.join('×')) {
    // Of A (r, in) or B (out, r), what is not the rank is the base's.
    const side = /\.lora_A(\.weight)?$/.test(name) ? 0 : /\.lora_B(\.weight)?$/.test(name) ? 1 : undefined;
    if (side !== undefined && found.length === 2 && found[1 - side] === shape[1 - side]) {
      throw new UserError(
        `${config} dice rango ${shape[side]} y «${name}» tiene rango ${found[side]}; no son del mismo adaptador: corrige el `
        + 'rango (r, o rank_pattern), o vuelve a guardarlo.',
      );
    }
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
