import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

function quantize(...args: string[]): { stdout: string; stderr: string; status: number | null } {
  return spawnSync(
    process.execPath, ['--import', 'tsx', 'src/cli/quantize.ts', ...args],
    { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8' });
}

describe('npm run quantize', () => {
  it('writes the folder, and says how far it is and what it took', () => {
    writeSmallModel(at('model'));
    const { stdout, stderr, status } = quantize('--model', at('model'), '--output', at('4bit'), '--no-double-quant');
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
  ])('refuses %j in one sentence', (args, says) => {
    const { stdout, stderr, status } = quantize(...args);
    expect({ stdout, status }).toEqual({ stdout: '', status: 1 });
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^[^\n]+\.\n$/);
  });
});
