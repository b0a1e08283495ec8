import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { parseConfig } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { knownConfig, knownModels } from './known.ts';

/**
 * The architecture that a plan is for: a folder with its `config.json`, such a file, or the hub's name of a model
 * whose shape is known without the network.
 *
 * @throws UserError if it is none of them, or the file is of another architecture
 */
export function readArchitecture(model: string): LlamaConfig {
  if (existsSync(model)) {
    const file = statSync(model).isDirectory() ? join(model, 'config.json') : model;
    return parseConfig(readJson(file, z.unknown()), file);
  }
  const known = knownConfig(model);
  if (known) return known;
  throw new UserError(
    `--model: «${model}» no es una carpeta con config.json ni un modelo conocido (${knownModels.join(', ')}): `
    + 'indica uno de ellos, o descarga su config.json y da su ruta.',
  );
}
