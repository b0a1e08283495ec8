import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { hasTensorflow } from '../../src/tensor/backend.ts';
import { hasDawn } from '../../src/tensor/webgpu/dawn.ts';
import { temporaryFolder } from '../temporary.ts';
import { run } from './command.ts';

const folder = temporaryFolder();

/** On a machine where `nvidia-smi` prints a file of the fixtures. */
function onMachine(card: string): void {
  const bin = mkdtempSync(folder('bin-'));
  writeFileSync(join(bin, 'nvidia-smi'), `#!/bin/sh\ncat '${resolve('tests/native/fixtures/nvidia-smi', `${card}.txt`)}'\n`);
  chmodSync(join(bin, 'nvidia-smi'), 0o755);
  vi.stubEnv('PATH', `${bin}:${process.env['PATH']}`);
  vi.stubEnv('HTTPS_PROXY', 'http://name:secret@proxy.example:8080');
  vi.stubEnv('PYTHON', '/nowhere/python');
}
afterEach(() => void vi.unstubAllEnvs());

function doctor(card: string, ...args: string[]) {
  onMachine(card);
  return run('doctor', ...args);
}

const linesOf = (stdout: string) => new Map(stdout.trim().split('\n').map((line) =>
  /^([^:]+): +(.+)$/.exec(line)!.slice(1) as [string, string]));

it('tells in a line each what there is, what would be chosen and what is missing', () => {
  onMachine('one-card');
  const { stdout, status } = spawnSync(process.execPath, ['--import', './src/start.js', 'src/cli/doctor.ts'], { encoding: 'utf8' });
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

it('tells what is the matter with a card: its driver is too old, or does not answer', async () => {
  const old = linesOf((await doctor('old-driver')).stdout);
  expect(old.get('GPU')).toBe('Tesla K80, 11,17 GiB');
  expect(old.get('Controlador')).toBe('NVIDIA 470.256.02, demasiado antiguo: CUDA 12 pide 525.60.13 o posterior; actualízalo');
  const silent = linesOf((await doctor('no-driver')).stdout);
  expect(silent.get('GPU')).toMatch(/^el controlador de NVIDIA no responde/);
  expect(silent.get('Controlador')).toBe('desconocido: lo dice nvidia-smi');
}, 120_000);

it('tells the same as JSON', async () => {
  const report = JSON.parse((await doctor('two-cards-610', '--json')).stdout) as { chosen: string; network: { answer: unknown } };
  expect(report).toMatchObject({
    node: process.version, backends: { wasm: { there: true }, cpu: { there: true } }, network: { answer: null },
    nvidia: { driver: '610.57.04', cuda: '13.3', gpus: [{ memoryBytes: 8151 * 2 ** 20 }, { memoryBytes: 4096 * 2 ** 20 }] },
  });
  expect(report.chosen).toBe(hasTensorflow() ? 'tensorflow' : 'wasm');
}, 120_000);
