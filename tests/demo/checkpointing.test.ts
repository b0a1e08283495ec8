import { describe, expect, it } from 'vitest';
import { round } from '../../demo/checkpointing.ts';

describe('rounding to 16 bits', () => {
  it('keeps what the format has, and takes the nearest of what it has not, ties to even', () => {
    expect([1, -0.5, 65504, 2 ** -24, 0].map((value) => round(value, 'fp16'))).toEqual([1, -0.5, 65504, 2 ** -24, 0]);
    expect(round(1 + 2 ** -11, 'fp16')).toBe(1);
    expect(round(1 + 3 * 2 ** -11, 'fp16')).toBe(1 + 2 ** -9);
    expect(round(1 + 2 ** -8, 'bf16')).toBe(1);
    expect(round(1 + 3 * 2 ** -8, 'bf16')).toBe(1 + 2 ** -6);
  });

  it('loses in fp16 what bf16 has room for, above and below', () => {
    expect(round(2 ** -26, 'fp16')).toBe(0);
    expect(round(2 ** -26, 'bf16')).toBe(2 ** -26);
    expect(round(1e5, 'fp16')).toBe(Infinity);
    expect(round(1e5, 'bf16')).toBeCloseTo(1e5, -3);
    expect(round(2 ** -26 * 2 ** 16, 'fp16') / 2 ** 16).toBe(2 ** -26); // what scaling the loss is for
  });
});
