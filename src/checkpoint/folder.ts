import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { logicalNames, readQuantized } from './bitsandbytes.ts';
import { readJson } from './files.ts';
import { readSafetensors } from './safetensors.ts';

export interface DenseTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** A Hugging Face model folder: weights by name, read when asked for, from one file or several. */
export interface Checkpoint {
  /** What `config.json` says, unchecked. */
  readonly config: unknown;
  names(): string[];
  load(name: string): DenseTensor | QuantizedTensor;
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * @throws UserError when the folder, `config.json` or a weights file is missing or broken
 */
export function openCheckpoint(folder: string): Checkpoint {
  if (!existsSync(folder)) throw new UserError(`--model: no existe la carpeta «${folder}»; indica una con config.json y model.safetensors.`);
  const config = readJson(join(folder, 'config.json'), z.unknown());
  const indexFile = join(folder, 'model.safetensors.index.json');
  const files = existsSync(indexFile)
    ? [...new Set(Object.values(readJson(indexFile, indexSchema).weight_map))]
    : ['model.safetensors'];
  const home = new Map<string, { path: string; file: ReturnType<typeof readSafetensors> }>();
  for (const path of files.map((name) => join(folder, name))) {
    const file = readSafetensors(path);
    for (const name of logicalNames(file.names())) home.set(name, { path, file });
  }
  return {
    config,
    names: () => [...home.keys()],
    load(name) {
      const found = home.get(name);
      if (!found) throw new UserError(`La carpeta «${folder}» no tiene el peso «${name}»: vuelve a descargar el modelo.`);
      const { path, file } = found;
      return readQuantized(file, path, name) ?? { shape: file.entry(name).shape, values: file.float32(name) };
    },
  };
}
