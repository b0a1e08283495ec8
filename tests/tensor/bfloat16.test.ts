import { describe, expect, it } from 'vitest';
import { instructionsOf } from '../../src/tensor/bfloat16.ts';

describe('bfloat16', () => {
  it.each([
    ['flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 amx_tile\nbugs\t\t: none', ['AMX', 'AVX-512']],
    ['flags\t\t: fpu avx512f avx512_bf16', ['AVX-512']],
    ['flags\t\t: fpu avx2', []],
    ['Features\t: fp asimd bf16', []], // ARM has another word for it
  ])('knows 16-bit products from the processor\'s flags', (cpuinfo, expected) => {
    expect(instructionsOf(cpuinfo)).toEqual(expected);
  });
});
