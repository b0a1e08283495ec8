import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAlpaca } from '../../src/data/alpaca.ts';
import { alpacaPrompt } from '../../src/data/prompt.ts';
import { loadTokenizer } from '../../src/data/tokenizer.ts';
import { differing } from './comparison.ts';
import type { Comparison } from './comparison.ts';

/** The embedded tokenizer on every tenth of the embedded records, and on what they do not hold. */
const texts = async () => [
  'naïve 東京 🙂 İstanbul ﬁn', '  dos  espacios\ty un tabulador \r\n\n', '3.14 × 10⁻² ≠ «π»', '',
  ...(await readAlpaca(['assets/data/alpaca_es.json'])).filter((_, i) => i % 10 === 0)
    .flatMap((record) => [alpacaPrompt(record), record.output]),
];

export const tokenizer: Comparison = {
  async ours(folder) {
    writeFileSync(join(folder, 'texts.json'), JSON.stringify(await texts()));
  },
  async compare(folder) {
    const tokenizer = loadTokenizer('assets/model');
    const theirs = JSON.parse(readFileSync(join(folder, 'theirs.json'), 'utf8')) as number[][];
    const ours = (await texts()).map((text) => tokenizer.encode(text));
    return [{ what: `tokens: de ${ours.length} textos, distintos`, limit: 0, measured: differing(ours, theirs) }];
  },
};
