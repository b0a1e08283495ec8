import { describe, expect, it } from 'vitest';
import { countWords, SPECIAL_TOKENS, tokenizerJson, trainBpe } from '../../src/data/bpe.ts';

describe('countWords', () => {
  it('parts as GPT-2 does: a word keeps the space before it', () => {
    expect([...countWords(['Uno y dos, y 12.\n'])]).toEqual([['Uno', 1], [' y', 2], [' dos', 1], [',', 1], [' 12', 1], ['.', 1], ['\n', 1]]);
  });
});

describe('trainBpe', () => {
  it('merges the most frequent pair first', () => {
    // Sennrich et al. (2016), the example of algorithm 1 without the end-of-word mark.
    const counts = new Map([['low', 5], ['lower', 2], ['newest', 6], ['widest', 3]]);
    expect(trainBpe(counts, 259 + 4).merges).toEqual([['e', 's'], ['es', 't'], ['l', 'o'], ['lo', 'w']]);
  });

  it('begins with the special tokens and the 256 bytes, and ends when nothing is left to merge', () => {
    const { vocabulary } = trainBpe(new Map([['ab', 1]]), 4096);
    expect([...vocabulary.keys()].slice(0, 3)).toEqual([...SPECIAL_TOKENS]);
    expect(vocabulary.size).toBe(3 + 256 + 1);
    expect(vocabulary.get('ab')).toBe(259);
  });

  it('does not depend on the order in which words were met', () => {
    const counts = [...countWords(['la calle larga y la calle corta, la sala y la cal'])];
    expect(trainBpe(new Map(counts), 290)).toEqual(trainBpe(new Map(counts.reverse()), 290));
  });
});

describe('tokenizerJson', () => {
  it('gives each token one id', () => {
    const { model } = tokenizerJson(trainBpe(countWords(['la la calle']), 270)) as { model: { vocab: Record<string, number> } };
    const ids = Object.values(model.vocab).sort((a, b) => a - b);
    expect(ids).toEqual(ids.map((_, index) => index));
  });
});
