import { describe, expect, it } from 'vitest';
import { loadInstructions } from '../../src/data/load.ts';

const options = {
  file: 'assets/data/alpaca_es.json', heldOutFile: 'assets/data/heldout_es.json',
  examples: 100, heldOut: 20, template: 'es', maxLength: 256, seed: 1,
} as const;

describe('loadInstructions', () => {
  it('takes as many records as asked for, the same for the same seed', () => {
    const { train, heldOut, dropped } = loadInstructions('assets/model', options);
    expect([train.length, heldOut.length, dropped]).toEqual([100, 20, 0]);
    expect(loadInstructions('assets/model', options).train).toEqual(train);
    expect(loadInstructions('assets/model', { ...options, seed: 2 }).train).not.toEqual(train);
  });

  it('examines with the whole held-out file, or with 50 records of a file that brings none', () => {
    const { heldOut } = loadInstructions('assets/model', { ...options, heldOut: undefined });
    expect(heldOut.length).toBeGreaterThan(300);
    const foreign = loadInstructions('assets/model', { ...options, heldOutFile: undefined, heldOut: undefined });
    expect([foreign.train.length, foreign.heldOut.length]).toEqual([100, 50]);
  });

  it('refuses a length in which nothing fits', () => {
    expect(() => loadInstructions('assets/model', { ...options, maxLength: 20 })).toThrow(/Ningún registro de .* cabe en 20 tokens/);
  });
});
