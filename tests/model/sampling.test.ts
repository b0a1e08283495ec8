import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { drawToken, tokenProbabilities } from '../../src/model/sampling.ts';
import { Random } from '../../src/random.ts';

const golden = readSafetensors(join(import.meta.dirname, '../golden/generation/sampling.safetensors'));
const settings = golden.names().filter((name) => name !== 'logits');

describe('the distribution of the next token', () => {
  it.each(settings)('is that of transformers with %s', (name) => {
    const { temperature, top_k: topK, top_p: topP } = JSON.parse(name) as Record<string, number>;
    const [rows, vocabulary] = golden.entry(name).shape as [number, number];
    const [logits, expected] = [golden.float32('logits'), golden.float32(name)];
    for (let row = 0; row < rows; row++) {
      const [start, end] = [row * vocabulary, (row + 1) * vocabulary];
      const ours = tokenProbabilities(logits.subarray(start, end), { temperature, topK, topP });
      const theirs = expected.subarray(start, end);
      // Equally likely tokens at the edge of topP: which of them stay is up to the sort.
      const likelihoods = (values: Float32Array) => [...values].filter((value) => value > 0).sort((a, b) => b - a);
      expect(likelihoods(ours)).toHaveLength(likelihoods(theirs).length);
      likelihoods(theirs).forEach((value, i) => expect(likelihoods(ours)[i]).toBeCloseTo(value, 6));
      if (row === 2) continue;
      theirs.forEach((value, id) => expect(ours[id]).toBeCloseTo(value, 6));
    }
  });

  it('always keeps the likeliest token', () => {
    expect(tokenProbabilities(Float32Array.of(1, 3, 2), { topP: 1e-9 })).toEqual(Float32Array.of(0, 1, 0));
    expect(tokenProbabilities(Float32Array.of(1, 3, 2), { temperature: 1e-3 })).toEqual(Float32Array.of(0, 1, 0));
  });

  it.each([{ temperature: 0 }, { temperature: -1 }, { temperature: NaN }, { topK: 0 }, { topP: 0 }])(
    'does not exist with %o', (sampling) => {
      expect(() => tokenProbabilities(Float32Array.of(1, 2), sampling)).toThrow(RangeError);
    });
});

describe('a token', () => {
  it('is drawn as often as its probability says', () => {
    const random = new Random(7);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 10_000; i++) counts[drawToken(Float32Array.of(0.5, 0, 0.2, 0.3), random)]!++;
    expect(counts[1]).toBe(0);
    [0.5, 0, 0.2, 0.3].forEach((share, id) => expect(Math.abs(counts[id]! / 10_000 - share)).toBeLessThan(0.02));
  });

  it('is drawn though rounding leaves the sum of probabilities short of 1', () => {
    expect(drawToken(Float32Array.of(0.25, 0.5, 0), { uniform: () => 1 } as Random)).toBe(1);
  });
});
