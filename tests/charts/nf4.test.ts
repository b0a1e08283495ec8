import { describe, expect, it } from 'vitest';
import { nf4Levels } from '../../src/charts/nf4.ts';
import { CODEBOOKS } from '../../src/quant/codebooks.ts';

describe('drawings', () => {
  it('know NF4 as the code does', () => {
    expect(nf4Levels.map(Number)).toEqual([...CODEBOOKS.nf4].map((level) => Number(level.toFixed(4))));
  });
});
