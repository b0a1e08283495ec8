import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { hasTensorflow } from '../../src/tensor/backend.ts';
import { hasDawn } from '../../src/tensor/webgpu/dawn.ts';
import { temporaryFolder } from '../temporary.ts';

const folder = temporaryFolder();

/** On a machine where `nvidia-smi` prints a file of the fixtures. */
function doctor(card: string, ...args: string[]) {
  const bin = mkdtempSync(folder('bin-'));
  writeFileSync(join(bin, 'nvidia-smi'), `#!/bin/sh\ncat '${resolve('tests/native/fixtures/nvidia-smi', `${card}.txt`)}'\n`);
  chmodSync(join(bin, 'nvidia-smi'), 0o755);
  return spawnSync(process.execPath, ['--import', 'tsx', 'src/cli/doctor.ts', ...args], { encoding: 'utf8', env: {
    ...process.env, PATH: `${bin}:${process.env['PATH']}`,
    HTTPS_PROXY: 'http://name:secret@proxy.example:8080', PYTHON: '/nowhere/python',
  } });
}

const linesOf = (stdout: string) => new Map(stdout.trim().split('\n').map((line) =>
  /^([^:]+): +(.+)$/.exec(line)!.slice(1) as [string, string]));

it('tells in a line each what there is, what would be chosen and what is missing', () => {
  const { stdout, status } = doctor('one-card');
  expect(status).toBe(0);
  const told = linesOf(stdout);
  expect([...told.keys()]).toEqual([
    'Node', 'Procesador', 'Memoria', 'GPU', 'Controlador', 'CUDA', 'cuDNN', 'bf16', 'tensorflow', 'webgpu', 'wasm', 'cpu', 'Se elegiría', 'Chromium', 'Red',
    'Python', 'Compilador', 'Cabeceras',
  ]);
  expect(told.get('Se elegiría')).toMatch(hasTensorflow() ? /^tensorflow/ : /^wasm/);
  expect(told.get('tensorflow')).toMatch(hasTensorflow() ? /^sí: TensorFlow \d/ : /npm run setup:tensorflow/);
  expect(told.get('webgpu')).toMatch(hasDawn() ? /^(sí|preparado)/ : /npm run setup:webgpu/);
  expect(told.get('GPU')).toBe('NVIDIA H100 80GB HBM3, 79,65 GiB');
  expect(told.get('Controlador')).toMatch(/^NVIDIA 550\.54\.15, hasta CUDA 12\.4/);
  // No machine of ours has CUDA; whether TensorFlow is there or not, it is without.
  expect(told.get('CUDA')).toMatch(/no usa la tarjeta: se prepara con «npm run setup:tensorflow -- --cuda»$/);
  expect(told.get('cuDNN')).toBe('no está: se prepara con CUDA');
  expect(told.get('Python')).toContain('/nowhere/python');
  expect(told.get('Red')).toContain('proxy.example:8080');
  expect(stdout).not.toContain('secret');
}, 120_000);

it('tells what is the matter with a card: its driver is too old, or does not answer', () => {
  const old = linesOf(doctor('old-driver').stdout);
  expect(old.get('GPU')).toBe('Tesla K80, 11,17 GiB');
  expect(old.get('Controlador')).toBe('NVIDIA 470.256.02, demasiado antiguo: CUDA 12 pide 525.60.13 o posterior; actualízalo');
  const silent = linesOf(doctor('no-driver').stdout);
  expect(silent.get('GPU')).toMatch(/^el controlador de NVIDIA no responde/);
  expect(silent.get('Controlador')).toBe('desconocido: lo dice nvidia-smi');
}, 120_000);

it('tells the same as JSON', () => {
  const report = JSON.parse(doctor('two-cards-610', '--json').stdout) as { chosen: string; network: { answer: unknown } };
  expect(report).toMatchObject({
    node: process.version, backends: { wasm: { there: true }, cpu: { there: true } }, network: { answer: null },
    nvidia: { driver: '610.57.04', cuda: '13.3', gpus: [{ memoryBytes: 8151 * 2 ** 20 }, { memoryBytes: 4096 * 2 ** 20 }] },
  });
  expect(report.chosen).toBe(hasTensorflow() ? 'tensorflow' : 'wasm');
}, 120_000);
