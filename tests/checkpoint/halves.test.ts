import { describe, expect, it } from 'vitest';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';

describe('toBfloat16', () => {
  it('rounds to the nearest, ties to even', () => {
    const bits = [0x3f800000, 0x3f807fff, 0x3f808000, 0x3f808001, 0x3f818000, 0xbf818000, 0x7f7fffff, 0x80000000];
    const values = new Float32Array(Uint32Array.from(bits).buffer);
    expect([...toBfloat16(values)])
      .toEqual([0x3f80, 0x3f80, 0x3f80, 0x3f81, 0x3f82, 0xbf82, 0x7f80, 0x8000]);
  });

  it('keeps infinities, and NaN a NaN even where rounding would carry it over', () => {
    const bits = Uint32Array.of(0x7f800000, 0xff800000, 0x7fffffff, 0x7f800001);
    const [plus, minus, ...nans] = toBfloat16(new Float32Array(bits.buffer));
    expect([plus, minus]).toEqual([0x7f80, 0xff80]);
    for (const nan of nans) expect([nan & 0x7f80, (nan & 0x7f) > 0]).toEqual([0x7f80, true]);
  });
});
