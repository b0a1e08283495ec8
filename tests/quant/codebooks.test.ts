import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { float32Of, readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { CODEBOOKS, DYNAMIC_MAP, nearestCodeOf, UNSIGNED_DYNAMIC_MAP } from '../../src/quant/codebooks.ts';

const saved = readSafetensors(join(import.meta.dirname, '../golden/bnb-4bit-tiny/model.safetensors'));
const weight = 'model.layers.0.mlp.down_proj.weight';

describe('codebooks', () => {
  it('has the NF4 table that bitsandbytes saves', () => {
    expect(CODEBOOKS.nf4).toEqual(float32Of(saved, `${weight}.quant_map`));
  });

  it('has the dynamic map that bitsandbytes saves, to the last bit', () => {
    expect(DYNAMIC_MAP).toEqual(float32Of(saved, `${weight}.nested_quant_map`));
    expect(DYNAMIC_MAP[0]).toBeCloseTo(-0.99297, 5);
    expect(DYNAMIC_MAP[127]).toBe(0);
    expect(DYNAMIC_MAP[128]).toBeCloseTo(5.5e-7, 12);
    expect(DYNAMIC_MAP[255]).toBe(1);
  });

  it('has the unsigned dynamic map that PyTorch computes, to the last bit', () => {
    const golden = readSafetensors(join(import.meta.dirname, '../golden/optimizer/steps.safetensors'));
    expect(DYNAMIC_MAP).toEqual(golden.float32('map.signed'));
    expect(UNSIGNED_DYNAMIC_MAP).toEqual(golden.float32('map.unsigned'));
    expect(UNSIGNED_DYNAMIC_MAP[0]).toBe(0);
    expect(UNSIGNED_DYNAMIC_MAP[255]).toBe(1);
  });

  it('finds the nearest entry of a map; a tie goes to the lower one', () => {
    const map = Float32Array.of(-1, 0, 0.5, 1);
    expect([-2, -1, -0.5, -0.4, 0.25, 0.26, 0.9, 7].map(nearestCodeOf(map))).toEqual([0, 0, 0, 1, 1, 2, 3, 3]);
    for (const codes of [DYNAMIC_MAP, UNSIGNED_DYNAMIC_MAP]) {
      const nearest = nearestCodeOf(codes);
      expect(Array.from(codes, nearest)).toEqual([...codes.keys()]);
      // Halfway between two entries, and a step of float32 to either side: what a search through all of them finds.
      const distance = (x: number, code: number) => Math.fround(Math.abs(x - code));
      const search = (x: number) => codes.reduce(
        (best, code, i) => (distance(x, code) < distance(x, codes[best]!) ? i : best), 0);
      for (let i = 1; i < codes.length; i++) {
        const middle = Math.fround((codes[i - 1]! + codes[i]!) / 2);
        for (const x of [middle, middle * (1 - 2 ** -23), middle * (1 + 2 ** -23), -middle].map(Math.fround)) {
          expect(nearest(x)).toBe(search(x));
        }
      }
    }
  });

  it('has FP4 in bit-pattern order: the upper eight nibbles mirror the lower', () => {
    expect(Array.from(CODEBOOKS.fp4.subarray(0, 8), (code) => Math.round(code * 12 * 1e4) / 1e4))
      .toEqual([0, 0.0625, 8, 12, 4, 6, 2, 3]);
    for (let nibble = 0; nibble < 8; nibble++) expect(CODEBOOKS.fp4[nibble + 8]).toBe(-CODEBOOKS.fp4[nibble]!);
  });

  it('has Int4 in 15 even steps around zero', () => {
    expect(CODEBOOKS.int4).toHaveLength(15);
    expect(CODEBOOKS.int4[7]).toBe(0);
    for (let i = 0; i < 15; i++) expect(CODEBOOKS.int4[i]).toBe(Math.fround((i - 7) / 7));
  });
});
