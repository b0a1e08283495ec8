import { beforeAll, describe, expect, it } from 'vitest';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { bfloat16Bits, fromBits, instructionsOf, sharedMemory, toFloat32 } from '../../src/tensor/bfloat16.ts';
import { noLibrary } from '../backend.ts';

describe('bfloat16', () => {
  it.each([
    ['flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_bf16 amx_tile\nbugs\t\t: none', ['AMX', 'AVX-512']],
    ['flags\t\t: fpu avx512f avx512_bf16', ['AVX-512']],
    ['flags\t\t: fpu avx2', []],
    ['Features\t: fp asimd bf16', []], // ARM has another word for it
  ])('knows 16-bit products from the processor\'s flags', (cpuinfo, expected) => {
    expect(instructionsOf(cpuinfo)).toEqual(expected);
  });

  it('holds numbers by their upper halves, unless one loses something', () => {
    expect(bfloat16Bits(Float32Array.of(1, -2.5, Infinity))).toEqual(sharedOf(0x3f80, 0xc020, 0x7f80));
    expect(bfloat16Bits(Float32Array.of(1, 0.1))).toBeUndefined();
  });
});

describe.runIf(hasTensorflow())(`numbers by their bits${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));

  it('are a tensor that has their memory, and no copy of it', () => {
    const bits = sharedOf(0x3f80, 0xc020, 0x4040); // an odd number of them
    const tensor = fromBits(bits, [1, 3]);
    expect(tensor.shape).toEqual([1, 3]);
    expect([...toFloat32(tensor).dataSync()]).toEqual([1, -2.5, 3]);
    bits[1] = 0x40a0;
    expect([...toFloat32(tensor).dataSync()]).toEqual([1, 5, 3]);
    tensor.dispose();
  });
});

function sharedOf(...bits: number[]): Uint16Array {
  const memory = sharedMemory(bits.length);
  memory.set(bits);
  return memory;
}
