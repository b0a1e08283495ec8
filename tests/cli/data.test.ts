import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

it('npm run data helps, and refuses what it does not know, and writes nothing then', () => {
  const run = (...args: string[]) => spawnSync(
    process.execPath, ['--import', resolve('src/start.js'), resolve('src/cli/data.ts'), ...args],
    { cwd: at(), encoding: 'utf8' });
  expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Uso: npm run data/) as unknown });
  expect(run('--foo')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^No existe la opción --foo/) as unknown });
  expect(readdirSync(at())).toEqual([]);
}, 60_000);
