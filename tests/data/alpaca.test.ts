import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readAlpaca, splitRecords } from '../../src/data/alpaca.ts';
import { UserError } from '../../src/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alpaca-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const write = (contents: string) => {
  const file = join(folder, 'datos.json');
  writeFileSync(file, contents);
  return file;
};
const good = { instruction: 'Di hola.', input: '', output: 'Hola.' };

describe('readAlpaca', () => {
  it('reads records; the input may be missing, and other fields are left out', () => {
    const file = write(JSON.stringify([{ instruction: 'Di hola.', output: 'Hola.', text: '…' }]));
    expect(readAlpaca(file)).toEqual([good]);
  });

  it.each([
    ['no JSON', '[{', /datos\.json.*no es JSON/],
    ['not a list', '{"instruction": "a"}', /datos\.json.* no es una lista/],
    ['empty', '[]', /datos\.json.* no tiene ningún registro/],
    ['a record that is no object', JSON.stringify([good, 3]), /El registro 2 de .*datos\.json/],
    ['no output', JSON.stringify([good, { instruction: 'Di algo.' }]), /El registro 2 de .*datos\.json.*«output»/],
    ['an empty output', JSON.stringify([{ ...good, output: ' ' }]), /El registro 1 .*«output»/],
    ['an empty instruction', JSON.stringify([{ ...good, instruction: '' }]), /El registro 1 .*«instruction»/],
    ['an input that is no text', JSON.stringify([{ ...good, input: 3 }]), /El registro 1 .*«input»/],
  ])('refuses %s in a Spanish sentence', (_, contents, message) => {
    const file = write(contents);
    expect(() => readAlpaca(file)).toThrow(UserError);
    expect(() => readAlpaca(file)).toThrow(message);
  });

  it('refuses a file that does not exist', () => {
    expect(() => readAlpaca(join(folder, 'no.json'))).toThrow(/No existe el archivo .*no\.json/);
  });
});

describe('splitRecords', () => {
  const records = Array.from({ length: 20 }, (_, n) => ({ ...good, instruction: `Di ${n}.` }));

  it('sets some apart and trains on others, the same for the same seed', () => {
    const { train, heldOut } = splitRecords(records, { examples: 10, heldOut: 5, seed: 1 });
    expect([train.length, heldOut.length]).toEqual([10, 5]);
    expect(new Set([...train, ...heldOut]).size).toBe(15);
    expect(splitRecords(records, { examples: 10, heldOut: 5, seed: 1 })).toEqual({ train, heldOut });
    expect(splitRecords(records, { examples: 10, heldOut: 5, seed: 2 })).not.toEqual({ train, heldOut });
  });

  it('refuses to leave nothing to train on', () => {
    expect(() => splitRecords(records, { examples: 10, heldOut: 20, seed: 1 })).toThrow(/no queda ninguno con que entrenar/);
  });
});
