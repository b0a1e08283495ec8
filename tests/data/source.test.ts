import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import { fetchUrl } from '../../src/checkpoint/url.ts';
import { findData, stanfordAlpaca } from '../../src/data/source.ts';
import { HubServer, sha256 } from '../checkpoint/hub-server.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const at = temporaryFolder();
const hub = new HubServer();
beforeAll(() => hub.open());
afterAll(() => hub.close());
let cases = 0;
let cache = '';
beforeEach(() => {
  cache = at(`cache-${cases++}`);
  hub.calm();
  hub.takeServed();
});

const settings = (offline = false) => hub.settings(cache, { offline });
const find = (data: string, offline = false) => findData(data, '--data', silent, settings(offline));
/** What is chosen of a data set of the hub that has these files. */
async function chosen(paths: string[], asked = 'org/data'): Promise<string[]> {
  hub.add('datasets/org/data', Object.fromEntries(paths.map((path) => [path, path])));
  const { files, pin } = await find(asked);
  expect(pin).toMatchObject({ kind: 'dataset', name: 'org/data' });
  expect(files.map((file) => file.slice(file.indexOf(pin!.revision) + 41))).toEqual(files.map((file) => readFileSync(file, 'utf8')));
  return files.map((file) => readFileSync(file, 'utf8'));
}

describe('a data set of the hub', () => {
  it.each([
    ['its only file', ['README.md', '.gitattributes', 'dataset_infos.json', 'alpaca.json'], ['alpaca.json']],
    ['JSON Lines', ['a.jsonl', 'paper.pdf'], ['a.jsonl']],
    ['the training split', ['train.json', 'test.json', 'dev.json'], ['train.json']],
    ['all shards of it, in order', [
      'data/test-00000-of-00001-c.parquet', 'data/train-00001-of-00002-b.parquet', 'data/train-00000-of-00002-a.parquet',
    ], ['data/train-00000-of-00002-a.parquet', 'data/train-00001-of-00002-b.parquet']],
  ])('gives %s', async (_, paths, expected) => {
    expect(await chosen(paths)).toEqual(expected);
    expect(hub.takeServed().map(({ path }) => path).sort()).toEqual(expected.toSorted());
  });

  it('gives the file that is named, of the revision that is named', async () => {
    hub.add('datasets/org/data', {}).branches.add('v1');
    expect(await chosen(['a/one.json', 'a/two.json'], 'org/data/a/two.json')).toEqual(['a/two.json']);
    expect(await userErrorFrom(find('org/data/a/two.json@v2'), 'org/data')).toContain('«v2»');
  });

  it('refuses to guess among several, tells what it lacks, and what it has not', async () => {
    await expect(chosen(['en.json', 'es.json'])).rejects.toThrow(/hay 2 conjuntos de datos \(«en\.json», «es\.json»\): di cuál/);
    await expect(chosen(['a.csv', 'README.md'])).rejects.toThrow(/no hay ningún archivo JSON, JSON Lines o Parquet/);
    await expect(chosen(['a.json'], 'org/data/b.json')).rejects.toThrow(/falta «b\.json»/);
  });
});

describe('an address', () => {
  const bytes = Buffer.alloc(600_000, '{"instruction": "Di hola.", "output": "Hola."}\n');
  const url = () => `${hub.contentUrl}/models/web/site/mis%20datos.jsonl`;
  beforeEach(() => { hub.add('models/web/site', { 'mis datos.jsonl': bytes }); });

  it('is downloaded once, kept, and pinned by its sum', async () => {
    const { files, pin } = await find(url());
    expect(readFileSync(files[0]!).equals(bytes)).toBe(true);
    expect(basename(files[0]!)).toBe('mis_datos.jsonl');
    expect(pin).toEqual({ kind: 'url', name: url(), revision: sha256(bytes) });
    hub.takeServed();
    expect(await find(url(), true)).toEqual({ files, pin });
    expect(hub.takeServed()).toEqual([]);
  });

  it('is gone on with after a cut, of the same version', async () => {
    hub.trouble('mis datos.jsonl', { cutAfter: 0 }, { cutAfter: 600_000 }, { cutAfter: 300_000 });
    const { files } = await find(url());
    expect(readFileSync(files[0]!).equals(bytes)).toBe(true);
    expect(hub.takeServed().at(-1)!.range).toMatch(/^bytes=\d{5,}-$/);
  });

  it('has to be what it is known to be', async () => {
    const fetched = (sum: string) => fetchUrl(url(), sum, silent, settings());
    expect(await userErrorFrom(fetched('ab'.repeat(32)), url())).toMatch(/no es lo que se anuncia: el SHA-256 debía ser abab/);
    const { file } = await fetched(sha256(bytes));
    writeFileSync(file, 'damaged');
    expect(readFileSync((await fetched(sha256(bytes))).file).equals(bytes)).toBe(true);
  });

  it('that cannot be had is one sentence', async () => {
    expect(await userErrorFrom(find(`${url()}x`), `${url()}x`)).toContain('el servidor responde 404');
    expect(await userErrorFrom(find('http://example.org/a.json'), 'http://example.org/a.json')).toContain('https://');
    expect(await userErrorFrom(find(url(), true), cache)).toMatch(/HF_HUB_OFFLINE/);
    const undecodable = 'https://example.org/100%.jsonl';
    expect(await userErrorFrom(find(undecodable, true), undecodable)).toMatch(/HF_HUB_OFFLINE/);
    const gone = new HubServer();
    await gone.open();
    const nowhere = `${gone.url}/a.json`;
    await gone.close();
    expect(await userErrorFrom(find(nowhere), cache)).toMatch(/No se llega a «127\.0\.0\.1:\d+» \(ECONNREFUSED\)/);
  });
});

describe('alpaca', () => {
  it('is Stanford\'s file at a commit, by its sum', async () => {
    expect(stanfordAlpaca.url).toMatch(/^https:\/\/raw\.githubusercontent\.com\/tatsu-lab\/stanford_alpaca\/[0-9a-f]{40}\/alpaca_data\.json$/);
    expect(stanfordAlpaca.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(await userErrorFrom(find('alpaca', true), stanfordAlpaca.url)).toMatch(/HF_HUB_OFFLINE/);
  });
});

describe('what is neither file nor address nor name', () => {
  it.each(['absent.json', 'datos/mios.json', './org/data', '/a/b/c.jsonl'])('«%s» is refused', async (data) => {
    expect(await userErrorFrom(find(data), `«${data}»`)).toMatch(/^--data: .* no es un archivo que exista, ni una dirección/);
    expect(hub.asked).toEqual([]);
  });

  it('a file that exists wins', async () => {
    writeFileSync(at('alpaca.json'), '[]');
    expect(await find(at('alpaca.json'))).toEqual({ files: [at('alpaca.json')], pin: undefined });
    expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
  });
});
