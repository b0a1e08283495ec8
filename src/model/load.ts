import { join } from 'node:path';
import { openCheckpoint } from '../checkpoint/folder.ts';
import { UserError } from '../errors.ts';
import { bitsPerParameter, quantize } from '../quant/quantize.ts';
import type { QuantType } from '../quant/quantize.ts';
import { isLinear, parseConfig, weightShapes } from './config.ts';
import { LlamaModel } from './llama.ts';
import { DenseWeight, QuantizedWeight } from './weights.ts';
import type { Weight } from './weights.ts';

export interface LoadOptions {
  /** Keep the linear layers of the blocks in 4 bits; embeddings, norms and head stay wide. */
  readonly loadIn4bit?: boolean;
  readonly quantType?: QuantType;
  readonly doubleQuant?: boolean;
}

/**
 * Opens a Hugging Face folder of the Llama family. One tensor at a time is widened, quantised and dropped.
 * Weights that are already in bitsandbytes' 4 bits are taken as they are.
 *
 * @throws UserError when a file is missing or broken, or a weight has not the shape that `config.json` promises.
 */
export function loadModel(folder: string, options: LoadOptions = {}): LlamaModel {
  const { loadIn4bit = false, quantType = 'nf4', doubleQuant = true } = options;
  const checkpoint = openCheckpoint(folder);
  const config = parseConfig(checkpoint.config, join(folder, 'config.json'));
  const present = new Set(checkpoint.names());
  const weights = new Map<string, Weight>();
  for (const [name, shape] of weightShapes(config)) {
    if (!present.has(name)) {
      throw new UserError(`${folder}: falta el peso «${name}» que config.json promete; vuelve a descargar el modelo.`);
    }
    const loaded = checkpoint.load(name);
    if (loaded.shape.join('×') !== shape.join('×')) {
      throw new UserError(
        `${folder}: el peso «${name}» mide ${loaded.shape.join('×')} y config.json promete ${shape.join('×')}; `
        + 'los ficheros no son del mismo modelo.',
      );
    }
    if ('packed' in loaded) {
      weights.set(name, new QuantizedWeight(loaded));
      continue;
    }
    if (!loaded.values.every(Number.isFinite)) {
      throw new UserError(`${folder}: el peso «${name}» tiene valores que no son números; vuelve a descargar el modelo.`);
    }
    if (loadIn4bit && isLinear(name)) {
      weights.set(name, new QuantizedWeight(quantize(loaded.values, shape, { quantType, doubleQuant })));
    } else {
      weights.set(name, new DenseWeight(loaded.values, shape));
    }
  }
  return new LlamaModel(config, weights);
}

export interface BaseSize {
  readonly parameters: number;
  /** All weights at two bytes each, and as they are held now. */
  readonly bytes16: number;
  readonly bytes: number;
  /** The same for the quantised matrices alone, and their bits per parameter. */
  readonly linearBytes16: number;
  readonly linearBytes: number;
  readonly bitsPerParameter: number;
}

/** What the base takes, counted from the bytes held. */
export function baseSize(model: LlamaModel): BaseSize {
  const weights = [...model.weights.values()];
  const count = (items: readonly { shape: readonly number[] }[]) =>
    items.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const linears = weights.filter((weight) => weight instanceof QuantizedWeight);
  return {
    parameters: count(weights),
    bytes16: 2 * count(weights),
    bytes: model.bytes,
    linearBytes16: 2 * count(linears),
    linearBytes: linears.reduce((sum, { bytes }) => sum + bytes, 0),
    bitsPerParameter: bitsPerParameter(linears.map(({ quantized }) => quantized)),
  };
}
