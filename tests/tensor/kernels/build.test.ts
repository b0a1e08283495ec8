import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';

const { scripts } = z.object({ scripts: z.object({ kernels: z.string() }) })
  .parse(JSON.parse(readFileSync('package.json', 'utf8')));

it.each(['kernels.wasm', 'kernels-relaxed.wasm'])('the committed %s comes out bit for bit from its source', (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  const command = scripts.kernels.split(' && ').find((command) => command.includes(`/${name} `))!;
  const [, ...args] = command.replace(/--outFile \S+/, `--outFile ${join(folder, name)}`).split(' ');
  execFileSync(process.execPath, ['node_modules/assemblyscript/bin/asc.js', ...args]);
  expect(readFileSync(join(folder, name)).equals(readFileSync(join('src/tensor/kernels', name)))).toBe(true);
  rmSync(folder, { recursive: true });
}, 60_000);
