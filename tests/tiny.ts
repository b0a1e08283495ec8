import type { Batch, Example } from '../src/data/batches.ts';
import type { Tokenizer } from '../src/data/tokenizer.ts';
import { weightShapes } from '../src/model/config.ts';
import type { LlamaConfig } from '../src/model/config.ts';
import { LlamaModel } from '../src/model/llama.ts';
import { DenseWeight } from '../src/model/weights.ts';
import { Random } from '../src/random.ts';

/** A Llama small enough for finite differences: grouped heads, two layers, a tied head. */
export const tinyConfig: LlamaConfig = {
  vocabSize: 13, hiddenSize: 8, intermediateSize: 12, layers: 2, heads: 4, kvHeads: 2, headDim: 2,
  maxPositions: 32, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: true,
};

/** Two rows of unlike length: the second is padded with 0. The last three tokens of each are the answer. */
export function tinyBatch(seed = 1): Batch {
  const random = Random.for(seed, 'batch');
  const [batchSize, seqLength] = [2, 6];
  const lengths = [6, 5];
  const tokens = new Int32Array(batchSize * seqLength);
  const labels = new Int32Array(batchSize * seqLength).fill(-100);
  lengths.forEach((length, row) => {
    for (let t = 0; t < length; t++) tokens[row * seqLength + t] = random.below(tinyConfig.vocabSize);
    for (let t = length - 4; t < length - 1; t++) labels[row * seqLength + t] = tokens[row * seqLength + t + 1]!;
  });
  return { tokens, labels, lengths, batchSize, seqLength };
}

/** Letters for ids: what a run needs of a tokenizer, without files. */
export const tinyTokenizer: Tokenizer = {
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0) - 97),
  decode: (ids) => ids.filter((id) => id > 2).map((id) => String.fromCharCode(97 + id)).join(''),
  vocabSize: tinyConfig.vocabSize, bosId: 0, eosId: 1, eosIds: [1], padId: 2,
};

/** The tiny model, frozen, its weights far enough from 0 to matter. */
export function tinyBase(seed = 1): LlamaModel {
  const random = Random.for(seed, 'tiny');
  return new LlamaModel(tinyConfig, new Map([...weightShapes(tinyConfig)].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const isNorm = shape.length === 1;
    const values = Float32Array.from({ length: size }, () => (isNorm ? 1 : random.normal() * 0.5));
    return [name, new DenseWeight(values, shape)];
  })));
}

/** Questions of one or two letters; the answer is the first of them, and the end. */
export function tinyExamples(count: number, seed = 1): Example[] {
  const random = Random.for(seed, 'examples');
  return Array.from({ length: count }, () => {
    const letters = Array.from({ length: 1 + random.below(2) }, () => 3 + random.below(tinyConfig.vocabSize - 3));
    return {
      tokens: Int32Array.from([tinyTokenizer.bosId!, ...letters, letters[0]!, tinyTokenizer.eosId]),
      promptLength: 1 + letters.length,
      record: { instruction: tinyTokenizer.decode(letters), input: '', output: tinyTokenizer.decode([letters[0]!]) },
    };
  });
}
