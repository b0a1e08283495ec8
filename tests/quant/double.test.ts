import { describe, expect, it } from 'vitest';
import { DYNAMIC_MAP } from '../../src/quant/codebooks.ts';
import { doubleDequantize, doubleQuantize } from '../../src/quant/double.ts';
import { Random } from '../../src/random.ts';

describe('double quantisation', () => {
  const random = Random.for(3, 'scales');
  const scales = Float32Array.from({ length: 600 }, () => 0.1 + 0.05 * random.uniform());

  it('takes the mean away and keeps one scale for each 256 of what remains', () => {
    const { offset, codes, nestedAbsmax } = doubleQuantize(scales);
    expect(offset).toBeCloseTo(scales.reduce((sum, scale) => sum + scale, 0) / 600, 7);
    expect(codes).toHaveLength(600);
    expect(nestedAbsmax).toHaveLength(3);
    for (let block = 0; block < 3; block++) {
      const centred = scales.subarray(256 * block, 256 * (block + 1)).map((scale) => Math.abs(scale - offset));
      expect(nestedAbsmax[block]).toBe(Math.max(...centred));
    }
  });

  it('takes the nearest of the 256 codes', () => {
    const { offset, codes, nestedAbsmax } = doubleQuantize(scales);
    scales.forEach((scale, i) => {
      const x = (scale - offset) / nestedAbsmax[i >> 8]!;
      const nearest = Math.min(...DYNAMIC_MAP.map((code) => Math.abs(code - x)));
      expect(Math.abs(DYNAMIC_MAP[codes[i]!]! - x)).toBeLessThan(nearest + 1e-6);
    });
  });

  it('gives equal scales back as they were, each by the code of zero', () => {
    const equal = new Float32Array(300).fill(0.125);
    const quantized = doubleQuantize(equal);
    expect(new Set(quantized.codes)).toEqual(new Set([DYNAMIC_MAP.indexOf(0)]));
    expect(doubleDequantize(quantized)).toEqual(equal);
  });

  it('gives scales back within half the widest step of the map', () => {
    const back = doubleDequantize(doubleQuantize(scales));
    const widest = Math.max(...DYNAMIC_MAP.subarray(1).map((code, i) => code - DYNAMIC_MAP[i]!)); // 0.0141
    scales.forEach((scale, i) => expect(Math.abs(back[i]! - scale)).toBeLessThan(0.05 * widest));
  });
});
