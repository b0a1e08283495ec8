import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { toBfloat16 } from '../checkpoint/halves.ts';
import { bytesOf } from '../checkpoint/safetensors.ts';
import { rewriteFolder } from '../checkpoint/shards.ts';
import { isLinear, weightShapes } from '../model/config.ts';
import { LlamaModel, logits } from '../model/llama.ts';
import { openModel, quantizeWeight } from '../model/load.ts';
import type { SavedModel } from '../model/load.ts';
import type { Weight } from '../model/weights.ts';
import { dequantize } from '../quant/quantize.ts';
import type { QuantizeOptions } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { linear } from '../tensor/linear.ts';
import { gatherRows } from '../tensor/ops.ts';
import { valuesOf } from '../tensor/read.ts';
import type { PeftAdapter, PeftModel } from './adapter.ts';
import { loadAdapter } from './folder.ts';

export interface MergeOptions {
  /** How the base is put in 4 bits for the comparison: as it was when the adapter was trained. */
  readonly quant: QuantizeOptions;
  /** No file of weights is larger, unless one tensor alone is. */
  readonly shardBytes: number;
}

export interface Difference {
  readonly mean: number;
  readonly max: number;
}

export interface MergeResult {
  /** The type of the weights that were merged onto, as «BF16» or «4 bits». */
  readonly base: string;
  /** Matrices that the adapter changes, and by how much, with the base that was merged onto. */
  readonly matrices: number;
  readonly update: Difference;
  /** Between the same matrices merged onto the base and onto its 4 bits; undefined if the base has no others. */
  readonly weights: Difference | undefined;
  readonly shards: number;
  readonly bytes: number;
}

export interface MergeProgress {
  readonly done: number;
  readonly all: number;
}

const HEADER_ROOM = 256; // in a header, for each weight

/**
 * Writes a model's folder again with an adapter merged into it, in bfloat16, as transformers loads it. One tensor at
 * a time is read, merged, rounded, written and dropped. The merge is onto the base as it is saved: in 16 or 32 bits,
 * or what its 4 bits stand for. The output appears when it is whole; a generator that is not run to its end leaves
 * nothing.
 *
 * @throws UserError if model or adapter cannot be read or do not fit one another, or the output cannot be written
 */
export function* mergeAdapter(
  modelFolder: string, adapterFolder: string, output: string, { quant, shardBytes }: MergeOptions,
): Generator<MergeProgress, MergeResult> {
  const saved = openModel(modelFolder);
  const base = storedModel(saved, modelFolder);
  const { adapter } = loadAdapter(base, adapterFolder);
  const { targets } = adapter;
  const in4bit = saved.isQuantized ? undefined : trainedModel(modelFolder, adapterFolder, quant);
  const [update, weights] = [new Gap(), new Gap()];

  // A tied head comes apart when the adapter holds an embedding or a head of its own.
  const tiedHead = saved.config.tiedHead
    && !['model.embed_tokens.weight', 'lm_head.weight'].some((name) => adapter.saved.has(name));
  const shapes = weightShapes({ ...saved.config, tiedHead });
  const all = [...shapes.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  let done = 0;

  const size = { limit: shardBytes, room: shapes.size * HEADER_ROOM };
  const { count, bytes } = yield* rewriteFolder<MergeProgress>(modelFolder, output, size, function* (shards) {
    for (const [name, shape] of shapes) {
      const path = name.replace(/\.weight$/, '');
      const whole = adapter.saved.get(name)?.values ?? mergedBias(name, adapter, base);
      const merged = targets.has(path) ? valuesOf(() => adapter.merged(path)) : undefined;
      if (merged) {
        update.add(merged, valuesOf(() => base.weight(name).tensor()));
        if (in4bit) weights.add(merged, valuesOf(() => in4bit.adapter.merged(path)));
      }
      const values = merged ?? whole;
      shards.add([{ name, dtype: 'BF16', shape, pieces: rounded(values ? [values] : unchanged(saved, name)) }]);
      done += sizeOf(shape);
      yield { done, all };
    }
    const config = readFileSync(join(modelFolder, 'config.json'), 'utf8');
    return {
      [config.includes('"dtype"') ? 'dtype' : 'torch_dtype']: 'bfloat16', // the older name is still read
      tie_word_embeddings: tiedHead,
      quantization_config: undefined,
    };
  });
  const changed = saved.load(`${[...targets][0]!}.weight`);
  return {
    base: 'packed' in changed ? '4 bits' : changed.dtype,
    matrices: targets.size, update: update.difference, weights: in4bit && weights.difference,
    shards: count, bytes,
  };
}

/** A weight that the adapter leaves as it is, in pieces. A head that was tied to the embedding has its values. */
function unchanged(saved: SavedModel, name: string): Iterable<Float32Array> {
  const weight = saved.load(saved.config.tiedHead && name === 'lm_head.weight' ? 'model.embed_tokens.weight' : name);
  return 'packed' in weight ? [dequantize(weight)] : weight.pieces();
}

/** A bias that the adapter changes. */
function mergedBias(name: string, adapter: PeftAdapter, base: LlamaModel): Float32Array | undefined {
  const path = name.replace(/\.bias$/, '');
  if (path === name || !adapter.bias || !adapter.targets.has(path)) return undefined;
  return valuesOf(() => adapter.bias!(path, base.weight(name).tensor() as Tensor1D));
}

function* rounded(pieces: Iterable<Float32Array>): Generator<Uint8Array> {
  for (const piece of pieces) yield bytesOf(toBfloat16(piece));
}

/** What was trained: the base in 4 bits with the adapter beside it. Its weights are read when they are used. */
export function trainedModel(
  modelFolder: string, adapterFolder: string, quant: QuantizeOptions,
): PeftModel {
  return loadAdapter(storedModel(openModel(modelFolder), modelFolder, quant), adapterFolder);
}

/** Between the logits of a merged model's folder and of another model, on one text. */
export function logitsDifference(mergedFolder: string, other: LlamaModel, ids: Int32Array): Difference {
  const merged = storedModel(openModel(mergedFolder), mergedFolder);
  const gap = new Gap();
  gap.add(valuesOf(() => logits(merged, ids, 1)), valuesOf(() => logits(other, ids, 1)));
  return gap.difference;
}

/** A model of which no weight is held: each is read when it is used, and for `quant` goes through 4 bits. */
export function storedModel(saved: SavedModel, folder: string, quant?: QuantizeOptions): LlamaModel {
  const weights = [...weightShapes(saved.config)].map(([name, shape]): [string, Weight] => {
    const read = () => {
      const weight = saved.load(name);
      if ('packed' in weight) return dequantize(weight);
      return quant && isLinear(name) && !saved.isQuantized
        ? dequantize(quantizeWeight(weight, name, folder, quant))
        : weight.values();
    };
    const tensor = () => tf.tensor(read(), shape);
    return [name, {
      shape, bytes: 0, trainable: false, tensor, dispose: () => {},
      linear: (x: Tensor2D) => linear(x, tensor() as Tensor2D, false),
      rows: (ids: Tensor1D) => gatherRows(tensor() as Tensor2D, ids),
    }];
  });
  return new LlamaModel(saved.config, new Map(weights));
}

/** Mean absolute and largest difference over all that is added. */
class Gap {
  private sum = 0;
  private count = 0;
  private max = 0;

  add(a: Float32Array, b: Float32Array): void {
    for (let i = 0; i < a.length; i++) {
      const gap = Math.abs(a[i]! - b[i]!);
      this.sum += gap;
      if (gap > this.max) this.max = gap;
    }
    this.count += a.length;
  }

  get difference(): Difference {
    return { mean: this.sum / this.count, max: this.max };
  }
}
