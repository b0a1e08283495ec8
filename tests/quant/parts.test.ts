import { describe, expect, it } from 'vitest';
import { rowParts } from '../../src/quant/parts.ts';
import { dequantize, quantize } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';

const normal = (size: number) => {
  const random = new Random(1);
  return Float32Array.from({ length: size }, () => random.normal());
};

describe('a 4-bit matrix in parts', () => {
  it.each([
    [300, 64, 64, true, 8192], [300, 64, 64, false, 1000], [40, 4096, 64, true, 20_000], [129, 192, 32, true, 12_300],
  ])('of %d × %d by %d (double %s) is as it was, each part within %d bytes', (out, input, blockSize, doubleQuant, bytes) => {
    const whole = quantize(normal(out * input), [out, input], { blockSize, doubleQuant });
    const parts = rowParts(whole, bytes);
    expect(parts.length).toBeGreaterThan(1);
    parts.forEach(({ packed, shape }) => {
      expect(packed.length).toBeLessThanOrEqual(bytes);
      expect(packed.length).toBe(shape[0]! * input / 2);
    });
    const wide = parts.map((part) => dequantize(part));
    expect(Float32Array.from(wide.flatMap((values) => [...values]))).toEqual(dequantize(whole));
  });

  it('is one where it fits', () => {
    const whole = quantize(normal(64 * 64), [64, 64]);
    expect(rowParts(whole, 2048)).toEqual([whole]);
  });

  it('cannot be had where a block of scales takes more', () => {
    const whole = quantize(normal(512 * 64), [512, 64]); // 256 scales are 256 rows, which take 8 KiB
    expect(() => rowParts(whole, 8191)).toThrow(RangeError);
  });
});
