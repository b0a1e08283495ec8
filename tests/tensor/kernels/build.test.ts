import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';

const { scripts } = z.object({ scripts: z.object({ kernels: z.string() }) })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));

it.each([
  'src/tensor/kernels/kernels.wasm', 'src/tensor/kernels/kernels-relaxed.wasm', 'src/quant/blockwise.wasm',
  'src/train/adamw.wasm',
])('the committed %s comes out bit for bit from its source', (file) => {
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  const command = scripts.kernels.split(' && ').find((command) => command.includes(` ${file} `))!;
  const [, ...args] = command.replace(/--outFile \S+/, `--outFile ${join(folder, 'made.wasm')}`).split(' ');
  execFileSync(process.execPath, ['node_modules/assemblyscript/bin/asc.js', ...args]);
  expect(readFileSync(join(folder, 'made.wasm')).equals(readFileSync(file))).toBe(true);
  rmSync(folder, { recursive: true });
}, 60_000);
