import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withRegion } from '../../src/deck/code.ts';
import { readRegion, removeEdited, syntaxErrorIn, writeEdited } from '../../src/live/source.ts';
import { experiments } from '../../src/runs/experiments.ts';
import { temporaryFolder } from '../temporary.ts';

const { quantization } = experiments;
const at = temporaryFolder();

describe('an edited program', () => {
  it('is of the talk that runs it: another one in the same folder neither writes over it nor takes it away', () => {
    mkdirSync(at('demo'));
    const file = at('demo', 'programa.ts');
    writeFileSync(file, '// #region parte\nuno();\n// #endregion\n');
    const edited = writeEdited({ ...quantization, file, region: 'parte' }, 'dos();');
    expect(readFileSync(edited, 'utf8')).toContain('dos();');
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    for (const pid of [process.ppid, gone]) writeFileSync(edited.replace(String(process.pid), String(pid)), 'tres();');
    removeEdited(at('demo'));
    expect(readdirSync(at('demo')).sort()).toEqual([`.editado-${process.ppid}-programa.ts`, 'programa.ts']);
  });
});

describe('an edited program that cannot be read', () => {
  it('is told by the lines of the slide', () => {
    const { file, region } = quantization;
    const code = `const fine = 1;\nconst broken = (;\n${readRegion(quantization)}`;
    const lines = withRegion(readFileSync(file, 'utf8'), region, file, code).text.split('\n');
    const line = 1 + lines.findIndex((text) => text.includes('broken'));
    const esbuilds = new Error(`Transform failed with 1 error:\n/x/${file}:${line}:18: ERROR: Unexpected ";"`);
    expect(syntaxErrorIn(quantization, esbuilds)!.message).toBe('el código editado no se puede leer; línea 2: Unexpected ";"');
  });

  it('is told apart from one that fails', () => {
    expect(syntaxErrorIn(quantization, new TypeError('x is not a function'))).toBeUndefined();
  });
});
