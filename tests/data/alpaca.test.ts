import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readAlpaca, splitRecords } from '../../src/data/alpaca.ts';
import { userErrorFrom, temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();
const write = (contents: string) => {
  const file = at('datos.json');
  writeFileSync(file, contents);
  return file;
};
const good = { instruction: 'Di hola.', input: '', output: 'Hola.' };

describe('readAlpaca', () => {
  it('reads records; the input may be missing or null, and other fields are left out', async () => {
    const file = write(JSON.stringify([
      { instruction: 'Di hola.', output: 'Hola.', text: '…' }, { ...good, input: null }, good,
    ]));
    expect(await readAlpaca([file])).toEqual([good, good, good]);
  });

  it('reads files one after another', async () => {
    const other = { ...good, output: 'Buenas.' };
    writeFileSync(at('b.jsonl'), JSON.stringify(other));
    expect(await readAlpaca([write(JSON.stringify([good])), at('b.jsonl')])).toEqual([good, other]);
  });

  it('keeps a record without an answer, as Stanford\'s file has some', async () => {
    expect(await readAlpaca([write(JSON.stringify([{ ...good, output: '' }]))])).toEqual([{ ...good, output: '' }]);
  });

  it.each([
    ['no JSON', '[{', /«.*datos\.json» no es JSON/],
    ['an empty list', '[]', /datos\.json.* no tiene ningún registro/],
    ['an empty file', '', /datos\.json.* no tiene ningún registro/],
    ['a record that is no object', JSON.stringify([good, 3]), /El registro 2 de .*datos\.json.* no es un objeto: se esperaban/],
    ['a record that is nothing', '[null]', /El registro 1 de .* no es un objeto: se esperaban/],
    ['no output', JSON.stringify([good, { instruction: 'Di algo.' }]),
      /El registro 2 de .*datos\.json.* no tiene el campo «output» \(tiene «instruction»\)/],
    ['another shape', JSON.stringify([{ question: '¿Sí?', answer: 'Sí.' }]),
      /El registro 1 .*«instruction» \(tiene «question», «answer»\)/],
    ['more fields than a sentence holds', JSON.stringify([{ a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1 }]), /\(tiene .*«e», «f»…\)/],
    ['as many as it holds', JSON.stringify([{ a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 }]), /\(tiene .*«e», «f»\)/],
    ['no field at all', '[{}]', /El registro 1 .*«instruction» \(tiene ninguno\)/],
    ['an object that is no record', '{"data": [1]}', /El registro 1 .*«instruction» \(tiene «data»\)/],
    ['an empty instruction', JSON.stringify([{ ...good, instruction: '' }]), /El registro 1 .* tiene vacío el campo «instruction»: complétalo o quita/],
    ['an input that is no text', JSON.stringify([{ ...good, input: 3 }]), /El registro 1 .* bien el campo «input»/],
    ['an output that is no text', JSON.stringify([{ ...good, output: null }]), /El registro 1 .* bien el campo «output»/],
  ])('refuses %s in a Spanish sentence', async (_, contents, message) => {
    expect(await userErrorFrom(readAlpaca([write(contents)]), at('datos.json'))).toMatch(message);
  });

  it('refuses a file that does not exist', async () => {
    expect(await userErrorFrom(readAlpaca([at('no.json')]), at('no.json'))).toContain('No existe el archivo');
  });
});

describe('splitRecords', () => {
  const records = Array.from({ length: 20 }, (_, n) => ({ ...good, instruction: `Di ${n}.` }));

  it('sets some apart and trains on others, the same for the same seed', () => {
    const split = (seed: number) => splitRecords(records, { file: 'datos.json', examples: 10, heldOut: 5, seed });
    const { train, heldOut } = split(1);
    expect([train.length, heldOut.length]).toEqual([10, 5]);
    expect(new Set([...train, ...heldOut]).size).toBe(15);
    expect(split(1)).toEqual({ train, heldOut, repeated: 0 });
    expect(split(2)).not.toMatchObject({ train });
  });

  it('does not train on what is asked: a question that comes again is left out, whatever its answer', () => {
    const twice = [...records, ...records.map((record) => ({ ...record, output: 'Otra.' }))];
    const { train, heldOut, repeated } = splitRecords(twice, { file: 'datos.json', examples: 40, heldOut: 5, seed: 1 });
    const asked = new Set(heldOut.map(({ instruction }) => instruction));
    expect(train.filter(({ instruction }) => asked.has(instruction))).toEqual([]);
    expect(repeated).toBe(2 * asked.size - 5);
    expect(train.length + repeated).toBe(35);
    // The same instruction with another input is another question.
    const inputs = records.map((record, n) => ({ ...record, instruction: 'Suma.', input: `${n}` }));
    expect(splitRecords(inputs, { file: 'datos.json', examples: 40, heldOut: 5, seed: 1 }).repeated).toBe(0);
  });

  it('of which nothing is trained on may be all questions', () => {
    const { train, heldOut } = splitRecords(records, { file: 'datos.json', examples: 0, heldOut: 50, seed: 1 });
    expect([train.length, heldOut.length]).toEqual([0, 20]);
  });

  it('refuses records that are all one question', () => {
    const equal = records.map(() => good);
    expect(() => splitRecords(equal, { file: 'datos.json', examples: 10, heldOut: 5, seed: 1 }))
      .toThrow(/En «datos\.json» hay 20 registros .* apartan 5 .*, y los demás repiten sus preguntas: no queda ninguno/);
  });

  it('refuses to leave nothing to train on', () => {
    expect(() => splitRecords(records, { file: 'datos.json', examples: 10, heldOut: 20, seed: 1 })).toThrow(/En «datos\.json» hay 20 registros .* no queda ninguno con que entrenar; .*--eval.*--held-out/);
  });
});
