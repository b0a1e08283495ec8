import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { generate } from '../../src/model/generate.ts';
import { logits } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { Random } from '../../src/random.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { differing, largestDifference } from './comparison.ts';
import type { Comparison } from './comparison.ts';

/** The tiny model of each family, on a text that their committed references do not hold. */
const root = 'tests/golden/families';
const names = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name);
const text = (vocabSize: number) => {
  const random = Random.for(2026, 'interop');
  return Array.from({ length: 30 }, () => random.below(vocabSize));
};
const promptLength = 12;
const newTokens = 20;

export const families: Comparison = {
  async ours(folder) {
    const { vocabSize } = loadModel(join(root, names[0]!)).config;
    writeFileSync(join(folder, 'families.json'), JSON.stringify(
      { folders: names.map((name) => join(root, name)), ids: text(vocabSize), promptLength, newTokens }));
  },
  async compare(folder) {
    const theirs = readSafetensors(join(folder, 'logits.safetensors'));
    const generated = JSON.parse(readFileSync(join(folder, 'generated.json'), 'utf8')) as Record<string, number[]>;
    const rows = [];
    for (const name of names) {
      const model = loadModel(join(root, name));
      const ids = text(model.config.vocabSize);
      const ours = valuesOf(() => logits(model, Int32Array.from(ids), 1)); // (30, vocabulary)
      const [answer] = await generate(model, [ids.slice(0, promptLength)], { maxNewTokens: newTokens, eosIds: [] });
      rows.push(
        { what: `${name}: logits`, limit: 1e-4, measured: largestDifference(ours, theirs.float32(name)) },
        { what: `${name}: tokens generados, distintos`, limit: 0, measured: differing(answer!, generated[name]!) },
      );
      model.dispose();
    }
    return rows;
  },
};
