import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('a measurement that fails says why in one sentence, which is what the bench repeats', () => {
  const order = { backend: 'wasm', folder: '/nowhere/model', sequence: 8, batch: 1, r: 2, steps: 1 };
  const { status, stderr } = spawnSync(
    process.execPath, ['--import', './src/start.js', 'src/cli/bench-process.ts', JSON.stringify(order)], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toBe('No existe la carpeta del modelo «/nowhere/model»: indica una con config.json y model.safetensors.\n');
});
