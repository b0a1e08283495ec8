import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readRecords } from '../../src/data/records.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();
const read = (file: string) => readRecords(file, ['instruction', 'input', 'output']);
const write = (name: string, contents: string | Uint8Array) => {
  writeFileSync(at(name), contents);
  return at(name);
};
const records = [{ instruction: 'Di ñu.', output: 'Ñu.' }, { instruction: 'Di pez.', output: 'Pez.' }];
const lines = records.map((record) => JSON.stringify(record));

describe('a JSON list', () => {
  it('is read whatever its name, with or without a byte order mark', async () => {
    expect(await read(write('a.json', JSON.stringify(records, null, 2)))).toEqual(records);
    expect(await read(write('a.txt', `\uFEFF\n [${lines.join(',')}]`))).toEqual(records);
  });
});

describe('JSON Lines', () => {
  it('is read whatever its name, its line ends and its empty lines', async () => {
    expect(await read(write('a.jsonl', `${lines.join('\n')}\n`))).toEqual(records);
    expect(await read(write('b.json', `\uFEFF${lines.join('\r\n\r\n')}`))).toEqual(records);
  });

  it('is read by pieces: characters and lines that span two of them are whole', async () => {
    for (const start of ['', 'x', 'xx']) { // wherever the first piece ends in a character of three bytes
      const wide = [{ output: start + '€'.repeat(400_000) }];
      expect(await read(write('wide.jsonl', JSON.stringify(wide[0])))).toEqual(wide);
    }
    const long = Array.from({ length: 30 }, (_, i) => ({ instruction: `${i}`, output: 'ñandú €'.repeat(10_000 + i) }));
    expect(await read(write('long.jsonl', long.map((record) => JSON.stringify(record)).join('\n')))).toEqual(long);
  });

  it('names the line at fault', async () => {
    const file = write('c.jsonl', `${lines[0]}\n\n{"instruction"\n`);
    expect(await userErrorFrom(read(file), file)).toMatch(/La línea 3 de .* no es JSON/);
  });
});

it('text in another encoding than UTF-8 is refused, in whatever piece it stands', async () => {
  const long = `${lines[0]}\n`.repeat(100_000);
  for (const [name, contents] of [
    ['latin1.json', Buffer.from(JSON.stringify(records), 'latin1')],
    ['latin1.jsonl', Buffer.from(lines.join('\n'), 'latin1')],
    ['long.jsonl', Buffer.concat([Buffer.from(long), Buffer.from(lines[0]!, 'latin1')])],
    ['cut.jsonl', Buffer.from(`${lines[0]}\nñ`).subarray(0, -1)],
    ['utf16.json', Buffer.from(`\uFEFF${JSON.stringify(records)}`, 'utf16le')],
  ] as const) {
    const file = write(name, contents);
    expect(await userErrorFrom(read(file), file)).toMatch(/no es UTF-8: ábrelo .* y guárdalo como UTF-8/);
  }
});

describe('Parquet', () => {
  const golden = 'tests/golden/parquet';

  it('is read as pyarrow wrote it, the columns asked for', async () => {
    copyFileSync(`${golden}/alpaca.parquet`, at('without-a-suffix'));
    expect(await read(at('without-a-suffix'))).toEqual([
      { instruction: 'Di hola.', input: '', output: 'Hola.' },
      { instruction: 'Suma.', input: '2 y 3', output: '2 + 3 = 5.' },
      { instruction: '¿Capital de Perú?', input: null, output: 'La capital de Perú es Lima.' },
    ]);
  });

  it('of another shape tells what it has', async () => {
    expect(await read(`${golden}/other.parquet`)).toEqual([{ pregunta: '¿Sí?' }]);
  });

  it('in a compression that is not read here is refused', async () => {
    const file = `${golden}/zstd.parquet`;
    expect(await userErrorFrom(read(file), file)).toMatch(/Parquet .* no se puede leer .*ZSTD.*: pásalo a Parquet con Snappy o a JSON Lines\.$/);
  });

  it.each([4, 200, 1000])('cut at %d bytes is refused', async (length) => {
    const file = write('cut.parquet', readFileSync(`${golden}/alpaca.parquet`));
    truncateSync(file, length);
    expect(await userErrorFrom(read(file), file)).toMatch(/Parquet .* no se puede leer \(está cortado o dañado\)/);
  });
});
