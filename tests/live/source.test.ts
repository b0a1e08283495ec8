import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withRegion } from '../../src/deck/code.ts';
import { readRegion, syntaxErrorIn } from '../../src/live/source.ts';
import { experiments } from '../../src/runs/experiments.ts';

const { quantization } = experiments;

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
