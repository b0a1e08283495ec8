import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { DownloadShow } from '../checkpoint/download.ts';
import { readJson } from '../checkpoint/files.ts';
import { fetchRepository, hubSettings, parseHubName } from '../checkpoint/hub.ts';
import type { Files, HubSettings } from '../checkpoint/hub.ts';
import { UserError } from '../errors.ts';
import { parseConfig } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { knownConfig } from './known.ts';

/**
 * The architecture that a plan is for: a folder with its `config.json`, such a file, the hub's name of a model whose
 * shape is known without the network, or any other of its names, of which `config.json` alone is downloaded.
 *
 * @throws UserError if it is none of them, the file is of another architecture, or it cannot be had
 */
export async function findArchitecture(
  model: string, show: DownloadShow, settings: () => HubSettings = hubSettings,
): Promise<LlamaConfig> {
  if (existsSync(model)) return readArchitecture(model);
  const known = knownConfig(model);
  if (known) return known;
  const asked = parseHubName(model);
  if (asked === undefined || asked.path !== undefined) {
    throw new UserError(`--model: «${model}» no es una carpeta con config.json, ni ese archivo, ni un nombre del hub: `
      + 'indica su ruta, o un nombre como meta-llama/Llama-2-7b-hf.');
  }
  const { folder } = await fetchRepository({ kind: 'model', ...asked, choose: chooseConfig }, show, settings());
  return readArchitecture(folder);
}

function chooseConfig({ paths, lacking }: Files): string[] {
  if (!paths.includes('config.json')) throw lacking('config.json');
  return ['config.json'];
}

/** The architecture that a folder's `config.json` says, or that file. @throws UserError if it is of another kind */
export function readArchitecture(path: string): LlamaConfig {
  const file = statSync(path).isDirectory() ? join(path, 'config.json') : path;
  return parseConfig(readJson(file, z.unknown()), file);
}
