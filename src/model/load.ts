import { join } from 'node:path';
import { isQuantizedConfig } from '../checkpoint/bitsandbytes.ts';
import { openCheckpoint } from '../checkpoint/folder.ts';
import type { DenseTensor } from '../checkpoint/folder.ts';
import { sizeInBytes } from '../checkpoint/safetensors.ts';
import { UserError } from '../errors.ts';
import { NotFiniteError } from '../quant/blockwise.ts';
import { quantizePieces } from '../quant/quantize.ts';
import type { QuantizedTensor, QuantizeOptions } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { sharedMemory } from '../tensor/bfloat16.ts';
import { holdsBfloat16 } from '../tensor/frozen.ts';
import { isLinear, parseConfig, weightShapes } from './config.ts';
import type { LlamaConfig } from './config.ts';
import { LlamaModel } from './llama.ts';
import { DenseWeight, QuantizedWeight } from './weights.ts';
import type { Weight } from './weights.ts';

export interface LoadOptions extends QuantizeOptions {
  /** Keep the linear layers of the blocks in 4 bits; embeddings, norms and head stay wide. */
  readonly loadIn4bit?: boolean;
}

/** A Hugging Face folder of the Llama family: its configuration, and its weights by their names in the model. */
export interface SavedModel {
  readonly config: LlamaConfig;
  /** Whether bitsandbytes has put the weights in 4 bits; what it left wide is to stay so. */
  readonly isQuantized: boolean;
  /** @throws UserError if the weight is missing or damaged, or has not the shape that `config.json` promises */
  load(name: string): DenseTensor | QuantizedTensor;
}

/**
 * Opens the folder; weights are read when asked for. Names without `model.` are those of a decoder that was
 * saved without its head, which must then be tied.
 *
 * @throws UserError when a file is missing or broken, or the model is of a kind that is not supported.
 */
export function openModel(folder: string): SavedModel {
  const checkpoint = openCheckpoint(folder);
  const file = join(folder, 'config.json');
  const config = parseConfig(checkpoint.config, file);
  const isQuantized = isQuantizedConfig(checkpoint.config, file);
  const shapes = weightShapes({ ...config, tiedHead: false });
  const present = new Set(checkpoint.names());
  const layers = Math.max(0, ...Array.from(present, layersUpTo));
  if (layers > config.layers) {
    throw new UserError(
      `${file}: num_hidden_layers es ${config.layers} y los pesos tienen ${layers} capas; corrige el archivo, o vuelve a `
      + 'descargar el modelo.',
    );
  }
  const load = (name: string) => {
    const saved = [name, name.replace(/^model\./, '')].find((candidate) => present.has(candidate));
    if (saved === undefined) {
      throw new UserError(`${folder}: falta el peso «${name}» que config.json promete; vuelve a descargar el modelo.`);
    }
    const weight = checkpoint.load(saved);
    const shape = shapes.get(name)!;
    if (weight.shape.join('×') !== shape.join('×')) {
      throw new UserError(
        `${folder}: el peso «${name}» mide ${weight.shape.join('×')} y config.json promete ${shape.join('×')}; `
        + 'los archivos no son del mismo modelo.',
      );
    }
    return weight;
  };
  const tiedHead = config.tiedHead && !(present.has(head) && differ(load(embedding), load(head)));
  return { config: { ...config, tiedHead }, isQuantized, load };
}

/** How many layers a model has that has this weight. */
function layersUpTo(name: string): number {
  const [, layer] = /^(?:model\.)?layers\.(\d+)\./.exec(name) ?? [];
  return layer === undefined ? 0 : Number(layer) + 1;
}

const embedding = 'model.embed_tokens.weight';
const head = 'lm_head.weight';

/** As transformers, which ties the head unless the files hold another one; old exports hold it twice. */
function differ(a: DenseTensor | QuantizedTensor, b: DenseTensor | QuantizedTensor): boolean {
  if ('packed' in a || 'packed' in b) return true;
  const others = b.pieces()[Symbol.iterator]();
  for (const piece of a.pieces()) {
    const { value: other } = others.next() as IteratorResult<Float32Array, undefined>;
    if (!piece.every((value, i) => value === other?.[i])) return true;
  }
  return false;
}

/**
 * Loads a Hugging Face folder of the Llama family. One tensor at a time is read piece by piece, quantised and
 * dropped. Weights that are already in bitsandbytes' 4 bits are taken as they are, and so are those beside them.
 *
 * @throws UserError when a file is missing or broken, or a weight has not the shape that `config.json` promises.
 */
export function loadModel(folder: string, options: LoadOptions = {}): LlamaModel {
  const { loadIn4bit = false, ...quantization } = options;
  const model = openModel(folder);
  const weights = new Map<string, Weight>();
  for (const name of weightShapes(model.config).keys()) {
    const loaded = model.load(name);
    if ('packed' in loaded) {
      weights.set(name, new QuantizedWeight(loaded));
    } else if (loadIn4bit && isLinear(name) && !model.isQuantized) {
      weights.set(name, new QuantizedWeight(quantizeWeight(loaded, name, folder, quantization)));
    } else {
      weights.set(name, new DenseWeight(wideValues(loaded, name, folder), loaded.shape));
    }
  }
  return new LlamaModel(model.config, weights);
}

/** How the matrices of a folder that bitsandbytes has put in 4 bits are held; undefined if they are wide. */
export function heldQuantization(folder: string): Required<Omit<QuantizeOptions, 'blockSize'>> | undefined {
  const model = openModel(folder);
  if (!model.isQuantized) return undefined;
  for (const name of weightShapes(model.config).keys()) {
    const held = model.load(name);
    if ('packed' in held) return { quantType: held.quantType, doubleQuant: 'codes' in held.absmax };
  }
  return undefined;
}

/**
 * A wide weight in 4 bits, read piece by piece: it is never wide as a whole.
 *
 * @throws UserError if it holds what is no number
 */
export function quantizeWeight(
  weight: DenseTensor, name: string, folder: string, options: QuantizeOptions,
): QuantizedTensor {
  try {
    return quantizePieces(weight.dtype === 'BF16' ? bitsOf(weight) : weight.pieces(), weight.shape, options);
  } catch (error) {
    throw error instanceof NotFiniteError ? notNumbers(name, folder) : error;
  }
}

/** The bits of a weight in bfloat16, in pieces. */
function* bitsOf(weight: DenseTensor): Generator<Uint16Array> {
  for (const { buffer, byteOffset, byteLength } of weight.bytes()) {
    yield new Uint16Array(buffer, byteOffset, byteLength / 2);
  }
}

/** A wide weight's numbers; of a matrix their bits, where those of bfloat16 are held as they are. */
function wideValues(weight: DenseTensor, name: string, folder: string): Float32Array | Uint16Array {
  if (weight.dtype !== 'BF16' || weight.shape.length !== 2 || !holdsBfloat16()) {
    const values = weight.values();
    for (const value of values) if (!Number.isFinite(value)) throw notNumbers(name, folder);
    return values;
  }
  const all = sharedMemory(sizeInBytes(weight) / 2);
  let start = 0;
  for (const bits of bitsOf(weight)) {
    for (const each of bits) if ((each & INFINITE) === INFINITE) throw notNumbers(name, folder);
    all.set(bits, start);
    start += bits.length;
  }
  return all;
}

/** The exponent of bfloat16, by which what is no number is known. */
const INFINITE = 0x7f80;

function notNumbers(name: string, folder: string): UserError {
  return new UserError(`${folder}: el peso «${name}» tiene valores que no son números; vuelve a descargar el modelo.`);
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
    items.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const linears = weights.filter((weight) => weight instanceof QuantizedWeight);
  const linearBytes = linears.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    parameters: count(weights),
    bytes16: 2 * count(weights),
    bytes: model.bytes,
    linearBytes16: 2 * count(linears),
    linearBytes,
    bitsPerParameter: 8 * linearBytes / count(linears),
  };
}
