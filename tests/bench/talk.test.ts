import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('npm run bench:talk helps, and refuses what it does not know, in place of measuring', () => {
  const run = (arg: string) => spawnSync(
    process.execPath, ['--import', './src/start.js', 'tests/bench/talk.ts', arg], { encoding: 'utf8', timeout: 20_000 });
  expect(run('--help')).toMatchObject({ status: 0, stdout: expect.stringMatching(/^Uso: npm run bench:talk/) as unknown });
  expect(run('--foo')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^No existe la opción --foo/) as unknown });
}, 60_000);
