import { describe, expect, it } from 'vitest';
import { availableOf, readMachine } from '../../src/native/machine.ts';

describe('what the machine computes with', () => {
  it('counts as available what caches would give back', () => {
    expect(availableOf('MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:   50 kB\n')).toBe(50 * 1024);
  });

  it('knows what WebAssembly does here: SIMD in every Node there is, the relaxed kind from 22 on', () => {
    const { wasm, threads } = readMachine();
    expect(wasm).toEqual({ simd: true, relaxedSimd: Number(process.versions.node.split('.')[0]) >= 22 });
    expect(threads).toBeGreaterThan(0);
  });
});
