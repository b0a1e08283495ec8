import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';
import { run } from './command.ts';

const at = temporaryFolder();

describe('npm run quantize', () => {
  it('writes the folder, and says how far it is and what it took', () => {
    writeSmallModel(at('model'));
    const { stdout, stderr, status } = spawnSync(process.execPath, [
      '--import', './src/start.js', 'src/cli/quantize.ts', '--model', at('model'), '--output', at('4bit'), '--no-double-quant',
    ], { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8' });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(existsSync(at('4bit', 'model.safetensors'))).toBe(true);
    expect(stdout).toMatch(/^ {2}\d+ % · .* de .*$/m);
    expect(stdout).toMatch(/KiB → .* en 1 archivo; matrices cuantizadas: 4,500 bits por parámetro$/m);
    expect(stdout).toMatch(/^\d+(,\d)? s, \d+(,\d)? MB\/s, pico de memoria \d+(,\d)? MiB$/m);
    expect(stdout).toContain(`Modelo guardado en «${at('4bit')}».`);
  });

  it.each([
    [['--output', 'x'], 'Falta --model'],
    [['--block-size', '48'], '--block-size espera una potencia de dos'],
    [['--shard-size', '5'], '--shard-size espera un tamaño en MB o GB'],
    [['--model', 'absent', '--output', 'x'], '«absent»'],
  ])('refuses %j in one sentence', async (args, says) => {
    const { stdout, stderr, status } = await run('quantize', ...args);
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
  });
});
