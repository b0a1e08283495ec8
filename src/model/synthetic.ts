import { join } from 'node:path';
import { beginFolder, writeFileAtomic } from '../checkpoint/files.ts';
import { toBfloat16 } from '../checkpoint/halves.ts';
import { bytesOf, sizeInBytes } from '../checkpoint/safetensors.ts';
import { Shards } from '../checkpoint/shards.ts';
import { Random } from '../random.ts';
import { toHuggingFace, weightShapes } from './config.ts';
import type { LlamaConfig } from './config.ts';

/** What a shape says; the rest is Llama 2's. */
export type Shape = Pick<
  LlamaConfig, 'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'kvHeads' | 'vocabSize' | 'tiedHead'>;

/** Shapes of published models, as their `config.json` has them; TinyLlama's head is tied, as the peer's is. */
export const shapes = {
  'SmolLM2-135M': {
    hiddenSize: 576, intermediateSize: 1536, layers: 30, heads: 9, kvHeads: 3, vocabSize: 49152, tiedHead: true,
  },
  'TinyLlama-1.1B': {
    hiddenSize: 2048, intermediateSize: 5632, layers: 22, heads: 32, kvHeads: 4, vocabSize: 32000, tiedHead: true,
  },
  'Llama-2-7B': {
    hiddenSize: 4096, intermediateSize: 11008, layers: 32, heads: 32, kvHeads: 32, vocabSize: 32000, tiedHead: false,
  },
} as const satisfies Record<string, Shape>;

/** Where a synthetic model of the shape lies among others. */
export const syntheticFolder = (among: string, shape: Shape): string => join(among, Object.values(shape).join('-'));

/** Values that are drawn once and repeated: enough that no two neighbouring blocks of 4 bits are alike. */
const drawn = 1 << 20;

/**
 * Writes a model of a shape with random weights in bf16, as published ones are stored. Pieces are written one after
 * another: a 7B takes no more memory than a small one. Bytes written so far are told after each weight.
 *
 * @throws UserError if there is something at its place, or the disk is full
 */
export function* writeSyntheticModel(folder: string, shape: Shape): Generator<number, void> {
  const config: LlamaConfig = {
    ...shape, headDim: shape.hiddenSize / shape.heads, maxPositions: 2048, rmsNormEps: 1e-5, ropeTheta: 10000,
  };
  const random = new Random(7);
  const values = bytesOf(toBfloat16(Float32Array.from({ length: drawn }, () => 0.02 * random.normal())));
  const ones = bytesOf(toBfloat16(new Float32Array(shape.hiddenSize).fill(1)));
  const weights = weightShapes(config);
  const pending = beginFolder(folder);
  const shards = new Shards(pending.path, 5e9, 200 * weights.size);
  try {
    for (const [name, shape] of weights) {
      const entry = { name, dtype: 'BF16', shape } as const;
      shards.add([{ ...entry, pieces: shape.length === 1 ? [ones] : repeated(values, sizeInBytes(entry)) }]);
      yield shards.bytes;
    }
    shards.finish();
    const json = toHuggingFace(config, { bosId: 1, eosId: 2, padId: 0 });
    writeFileAtomic(join(pending.path, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
    pending.commit();
  } finally {
    shards.abandon();
    pending.discard();
  }
}

function* repeated(piece: Uint8Array, bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= piece.length) yield left < piece.length ? piece.subarray(0, left) : piece;
}
