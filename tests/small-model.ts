import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBfloat16 } from '../src/checkpoint/halves.ts';
import { writeSafetensors } from '../src/checkpoint/safetensors.ts';
import { toHuggingFace, weightShapes } from '../src/model/config.ts';
import type { LlamaConfig } from '../src/model/config.ts';
import { Random } from '../src/random.ts';

const embedded = join(import.meta.dirname, '../assets/model');

/** Two layers over the embedded tokenizer: a demo on it takes seconds. */
export const smallConfig: LlamaConfig = {
  vocabSize: 4096, hiddenSize: 64, intermediateSize: 128, layers: 2, heads: 4, kvHeads: 2, headDim: 16,
  maxPositions: 256, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: true,
};

/** A Hugging Face folder with seeded weights and the embedded tokenizer. */
export function writeSmallModel(folder: string, config = smallConfig): void {
  mkdirSync(folder, { recursive: true });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(embedded, file), join(folder, file));
  const random = new Random(1);
  const tensors = [...weightShapes(config)].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : 0.02 * random.normal()));
    return [name, { dtype: 'BF16' as const, shape, data: toBfloat16(values) }] as const;
  });
  writeSafetensors(join(folder, 'model.safetensors'), Object.fromEntries(tensors), { format: 'pt' });
  const ids = { bosId: 0, eosId: 1, padId: 2 };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(toHuggingFace(config, ids)));
}
