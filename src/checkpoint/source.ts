import { existsSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { DownloadShow } from './download.ts';
import { readJson } from './files.ts';
import { onlyPickles } from './folder.ts';
import { fetchRepository, hubSettings, parseHubName } from './hub.ts';
import type { Files, HubSettings, Pin } from './hub.ts';

/** A model on disk, and where it comes from. */
export interface ModelSource {
  readonly folder: string;
  /** What to call it for others: the folder, or `org/nombre`. */
  readonly name: string;
  /** Undefined for a folder of the person's own. */
  readonly pin: Pin | undefined;
}

/**
 * The folder of a model: one that exists, or else the hub's `org/nombre` with or without `@revisión`.
 *
 * @throws UserError if it is neither, or the hub's cannot be had (see `fetchRepository`)
 */
export async function findModel(
  model: string, show: DownloadShow, settings: HubSettings = hubSettings(),
): Promise<ModelSource> {
  if (existsSync(model)) return { folder: model, name: model, pin: undefined };
  const asked = parseHubName(model);
  if (asked === undefined || asked.path !== undefined) {
    throw new UserError(`--model: «${model}» no es una carpeta que exista ni un nombre del hub: `
      + 'indica una carpeta con config.json y model.safetensors, o un nombre como HuggingFaceTB/SmolLM2-135M.');
  }
  const { folder, pin } = await fetchRepository({ kind: 'model', ...asked, choose: chooseModelFiles }, show, settings);
  return { folder, name: asked.name, pin };
}

const besides = [
  'config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json',
  'added_tokens.json', 'chat_template.jinja',
];
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Configuration, tokenizer, and the weights as safetensors: nothing in another format is ever downloaded. */
async function chooseModelFiles({ paths, where, lacking, get }: Files): Promise<string[]> {
  const has = (path: string) => paths.includes(path);
  for (const needed of ['config.json', 'tokenizer.json']) {
    if (!has(needed)) throw lacking(needed);
  }
  const found = besides.filter(has);
  if (has('model.safetensors')) return [...found, 'model.safetensors'];
  const index = 'model.safetensors.index.json';
  if (has(index)) {
    const { weight_map: weightMap } = readJson(await get(index), indexSchema);
    return [...found, index, ...new Set(Object.values(weightMap))];
  }
  throw onlyPickles(paths, where) ?? lacking('model.safetensors');
}
