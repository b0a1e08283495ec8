import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { readQuantized, weightNames } from './bitsandbytes.ts';
import { readJson } from './files.ts';
import { float32Of, float32PiecesOf, floatDtypeOf, readSafetensors } from './safetensors.ts';
import type { FloatDtype, SafetensorsFile, TensorSource } from './safetensors.ts';

/** A weight that is not in 4 bits, read when asked for. */
export interface DenseTensor {
  readonly dtype: FloatDtype;
  readonly shape: readonly number[];
  /** Row-major, widened to float32. @throws UserError if the file changed since it was opened */
  values(): Float32Array;
  /** The same in pieces, each in a buffer that the next overwrites: no large tensor is wide as a whole. */
  pieces(): Iterable<Float32Array>;
  /** The bytes of the file, in pieces likewise. */
  bytes(): Iterable<Uint8Array>;
}

/** A Hugging Face model folder: weights by name, read when asked for, from one file or several. */
export interface Checkpoint {
  /** What `config.json` says, unchecked. */
  readonly config: unknown;
  /** The files that the weights depend on, for provenance. */
  readonly fileList: readonly string[];
  /** The weights; one saved in 4 bits is one name. */
  names(): string[];
  /** @throws UserError if there is no such weight, its type is not of real numbers, or its file is damaged */
  load(name: string): DenseTensor | QuantizedTensor;
}

/** A shard is a file in the folder itself: no path leads out of it. */
const indexSchema = z.object({
  weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/, 'se esperaba el nombre de un archivo .safetensors')),
});

/**
 * Opens `config.json` and `model.safetensors`, or the shards that `model.safetensors.index.json` names.
 * Headers are read now, weights when asked for.
 *
 * @throws UserError if the folder or one of its files is missing or damaged
 */
export function openCheckpoint(folder: string): Checkpoint {
  if (!existsSync(folder)) {
    throw new UserError(`No existe la carpeta del modelo «${folder}»: indica una con config.json y model.safetensors.`);
  }
  const configFile = join(folder, 'config.json');
  const config = readJson(configFile, z.unknown());
  const single = join(folder, 'model.safetensors');
  const index = join(folder, 'model.safetensors.index.json');
  const sharded = !existsSync(single) && existsSync(index);
  if (!sharded && !existsSync(single)) {
    const pickles = onlyPickles(readdirSync(folder), `«${folder}»`);
    if (pickles) throw pickles;
  }
  const weights = sharded ? openShards(folder, index) : readSafetensors(single);
  return {
    config,
    fileList: sharded ? [configFile, index, ...weights.paths] : [configFile, single],
    names: () => weightNames(weights.names()),
    load: (name) => readQuantized(weights, name)?.tensor ?? {
      dtype: floatDtypeOf(weights, name),
      shape: weights.entry(name).shape,
      values: () => float32Of(weights, name),
      pieces: () => float32PiecesOf(weights, name),
      bytes: () => weights.pieces(name, 2 ** 20),
    },
  };
}

/** Weights of a kind that is never opened. */
const pickled = /(?<!training_args)\.(bin|pth?|ckpt|pkl)$/;

/** What to tell of a model whose weights are in pickles; undefined where there are none either. */
export function onlyPickles(files: readonly string[], where: string): UserError | undefined {
  const pickle = files.find((file) => pickled.test(file));
  return pickle === undefined ? undefined : new UserError(`En ${where} los pesos solo están como «${pickle}», un pickle de `
    + 'Python, que al abrirse puede ejecutar cualquier programa: elige un modelo con model.safetensors.');
}

/** The shards as one source: a 4-bit weight and its satellites need not lie in the same one. */
function openShards(folder: string, index: string): TensorSource {
  const { weight_map: weightMap } = readJson(index, indexSchema);
  const open = (file: string): SafetensorsFile => {
    const path = join(folder, file);
    if (existsSync(path)) return readSafetensors(path);
    throw new UserError(`«${index}» nombra «${file}», que no está en la carpeta: vuelve a descargar el modelo.`);
  };
  const shards = new Map<string, SafetensorsFile>();
  for (const [name, file] of Object.entries(weightMap)) {
    const shard = shards.get(file) ?? open(file);
    shards.set(file, shard);
    shard.entry(name); // refused now rather than in the middle of loading
  }
  const shardOf = (name: string): SafetensorsFile => {
    const shard = shards.get(weightMap[name] ?? '');
    if (shard === undefined) {
      throw new UserError(`En «${index}» falta el tensor «${name}»: comprueba que la carpeta es del modelo esperado.`);
    }
    return shard;
  };
  return {
    paths: [...shards.values()].flatMap(({ paths }) => paths),
    names: () => Object.keys(weightMap),
    has: (name) => Object.hasOwn(weightMap, name),
    entry: (name) => shardOf(name).entry(name),
    bytes: (name) => shardOf(name).bytes(name),
    pieces: (name, length) => shardOf(name).pieces(name, length),
    pathOf: (name) => shardOf(name).path,
  };
}
