import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';

it('the committed kernels come out bit for bit from their source', () => {
  const { scripts } = z.object({ scripts: z.object({ kernels: z.string() }) })
    .parse(JSON.parse(readFileSync('package.json', 'utf8')));
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  const out = join(folder, 'kernels.wasm');
  const [, ...args] = scripts.kernels.replace(/--outFile \S+/, `--outFile ${out}`).split(' ');
  execFileSync(process.execPath, ['node_modules/assemblyscript/bin/asc.js', ...args]);
  expect(readFileSync(out).equals(readFileSync('src/tensor/kernels/kernels.wasm'))).toBe(true);
  rmSync(folder, { recursive: true });
}, 60_000);
