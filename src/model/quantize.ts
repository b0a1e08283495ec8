import { quantizationConfigOf, writeQuantized } from '../checkpoint/bitsandbytes.ts';
import type { OriginalDtype } from '../checkpoint/bitsandbytes.ts';
import type { DenseTensor } from '../checkpoint/folder.ts';
import { bytesOf, sizeInBytes } from '../checkpoint/safetensors.ts';
import type { FloatDtype } from '../checkpoint/safetensors.ts';
import { rewriteFolder } from '../checkpoint/shards.ts';
import { UserError } from '../errors.ts';
import { byteLength } from '../quant/quantize.ts';
import type { QuantizeOptions, QuantType } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { isLinear, weightShapes } from './config.ts';
import { openModel, quantizeWeight } from './load.ts';

export interface QuantizeModelOptions extends QuantizeOptions {
  readonly quantType: Exclude<QuantType, 'int4'>;
  readonly doubleQuant: boolean;
  /** No file of weights is larger, unless one tensor alone is. */
  readonly shardBytes: number;
}

/** What has been read and written so far. */
export interface QuantizeProgress {
  readonly bytesRead: number;
  readonly bytesToRead: number;
  readonly bytesWritten: number;
  /** Parameters in 4 bits, and the bytes that they take. */
  readonly parameters: number;
  readonly bytesIn4bit: number;
  readonly shards: number;
}

const DTYPES: Record<FloatDtype, OriginalDtype> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** In a header, for each weight: a 4-bit one makes six entries of some 150 bytes. */
const HEADER_ROOM = 1024;

/**
 * Writes a Hugging Face folder again with the linear layers of its blocks in 4 bits, as bitsandbytes saves them and
 * transformers reads them. One tensor at a time is read piece by piece, quantised, written and dropped. The output
 * appears when it is whole; a generator that is not run to its end leaves nothing.
 *
 * @throws UserError if the model cannot be read or is in 4 bits already, or the output cannot be written
 */
export function* quantizeModel(
  folder: string, output: string, options: QuantizeModelOptions,
): Generator<QuantizeProgress, void> {
  const model = openModel(folder);
  if (model.isQuantized) {
    throw new UserError(`El modelo de «${folder}» ya está cuantizado: indica con --model el original, en 16 o 32 bits.`);
  }
  const weights = new Map<string, DenseTensor>();
  for (const name of weightShapes(model.config).keys()) {
    const weight = model.load(name);
    if ('packed' in weight) {
      throw new UserError(`${folder}: el peso «${name}» ya está en 4 bits; indica con --model el original, en 16 o 32 bits.`);
    }
    weights.set(name, weight);
  }
  const bytesToRead = [...weights.values()].reduce((sum, weight) => sum + sizeInBytes(weight), 0);
  let [bytesRead, parameters, bytesIn4bit] = [0, 0, 0];
  let computeDtype: OriginalDtype = 'bfloat16';

  const size = { limit: options.shardBytes, room: weights.size * HEADER_ROOM };
  yield* rewriteFolder(folder, output, size, function* (shards) {
    for (const [name, weight] of weights) {
      if (isLinear(name)) {
        const tensor = quantizeWeight(weight, name, folder, options);
        computeDtype = DTYPES[weight.dtype];
        const entries = Object.entries(writeQuantized(name, { tensor, dtype: computeDtype }));
        shards.add(entries.map(([key, entry]) => ({ ...entry, name: key, pieces: [bytesOf(entry.data)] })));
        parameters += sizeOf(weight.shape);
        bytesIn4bit += byteLength(tensor);
      } else {
        shards.add([{ name, dtype: weight.dtype, shape: weight.shape, pieces: weight.bytes() }]);
      }
      bytesRead += sizeInBytes(weight);
      yield { bytesRead, bytesToRead, bytesWritten: shards.bytes, parameters, bytesIn4bit, shards: shards.count };
    }
    return { quantization_config: quantizationConfigOf(options, computeDtype) };
  });
}
