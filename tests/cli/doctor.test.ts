import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { hasTensorflow } from '../../src/tensor/backend.ts';
import { hasDawn } from '../../src/tensor/webgpu/dawn.ts';

const doctor = (...args: string[]) => spawnSync(
  process.execPath, ['--import', 'tsx', 'src/cli/doctor.ts', ...args],
  { encoding: 'utf8', env: { ...process.env, HTTPS_PROXY: 'http://name:secret@proxy.example:8080', PYTHON: '/nowhere/python' } },
);

it('tells in a line each what there is, what would be chosen and what is missing', () => {
  const { stdout, status } = doctor();
  expect(status).toBe(0);
  const told = new Map(stdout.trim().split('\n').map((line) => /^([^:]+): +(.+)$/.exec(line)!.slice(1) as [string, string]));
  expect([...told.keys()]).toEqual([
    'Node', 'Procesador', 'Memoria', 'GPU', 'bf16', 'tensorflow', 'webgpu', 'wasm', 'cpu', 'Se elegiría', 'Chromium', 'Red',
    'Python', 'Compilador', 'Cabeceras',
  ]);
  expect(told.get('Se elegiría')).toMatch(hasTensorflow() ? /^tensorflow/ : /^wasm/);
  expect(told.get('tensorflow')).toMatch(hasTensorflow() ? /^sí: TensorFlow \d/ : /npm run setup:tensorflow/);
  expect(told.get('webgpu')).toMatch(hasDawn() ? /^(sí|preparado)/ : /npm run setup:webgpu/);
  expect(told.get('Python')).toContain('/nowhere/python');
  expect(told.get('Red')).toContain('proxy.example:8080');
  expect(stdout).not.toContain('secret');
}, 120_000);

it('tells the same as JSON', () => {
  const report = JSON.parse(doctor('--json').stdout) as { chosen: string; network: { answer: unknown } };
  expect(report).toMatchObject({
    node: process.version, backends: { wasm: { there: true }, cpu: { there: true } }, network: { answer: null },
  });
  expect(report.chosen).toBe(hasTensorflow() ? 'tensorflow' : 'wasm');
}, 120_000);
