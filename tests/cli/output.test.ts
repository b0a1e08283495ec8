import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkOutput } from '../../src/cli/output.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { run } from './command.ts';

const at = temporaryFolder();

describe('a folder to be written', () => {
  it('may be there, or have to be made: nothing is', () => {
    checkOutput('--output', at());
    checkOutput('--output', at('a', 'b'));
    expect(readdirSync(at())).toEqual([]);
  });

  it('is neither a file nor below one', () => {
    writeFileSync(at('file'), '');
    for (const folder of [at('file'), at('file', 'a')]) {
      expect(userErrorOf(() => checkOutput('--work', folder), at('file')))
        .toMatch(/^--work: .* es un archivo y se esperaba una carpeta/);
    }
  });

  it.runIf(existsSync('/proc/self'))('is one that can be made, which permissions alone do not tell', () => {
    expect(userErrorOf(() => checkOutput('--folder', '/proc/a/b'), '/proc'))
      .toBe('--folder: en «/proc» no se puede escribir (ENOENT); elige otra carpeta.');
  });

  it.each([
    ['export'], ['quantize', '--model', 'assets/model'], ['merge', '--adapter', 'tests/golden/adapters/lora'],
  ])('is asked for before anything is done: %s', async (command, ...options) => {
    writeFileSync(at('file'), '');
    const { status, stdout, stderr } = await run(command, ...options, '--output', at('file', 'a'));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^--output: .* es un archivo y se esperaba una carpeta/);
  }, 60_000);
});
