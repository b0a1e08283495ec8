import { expect, it } from 'vitest';
import { adapterText } from '../../src/cli/webgpu-adapter.ts';

const adapter = {
  name: 'H200', vendor: 'nvidia', architecture: 'hopper', software: false, bindingBytes: 2 ** 31, units: [],
  features: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'],
};

it('tells an adapter in one line, with what it multiplies matrices by', () => {
  expect(adapterText(adapter)).toBe('H200 (nvidia), con shader-f16, subgroups, tensores de hasta 2 GiB');
  const units = [{ m: 16, n: 16, k: 16, element: 'f16', lanes: 32 }] as const;
  expect(adapterText({ ...adapter, units })).toContain(', unidades de matrices de 16 × 16 × 16 en f16, ');
});

it('says when it is a program, and when it offers nothing', () => {
  expect(adapterText({ ...adapter, name: 'SwiftShader', vendor: 'google', software: true, features: [] }))
    .toBe('SwiftShader (google), por software, en la CPU: para pruebas, sin extensiones, tensores de hasta 2 GiB');
});
