import { mkdirSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import { findModel } from '../../src/checkpoint/source.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';
import { HubServer } from './hub-server.ts';

const at = temporaryFolder();
const hub = new HubServer();
beforeAll(() => hub.open());
afterAll(() => hub.close());
let cases = 0;
let cache = '';
beforeEach(() => { cache = at(`cache-${cases++}`); });

const find = (model: string, offline = false) => findModel(model, silent, hub.settings(cache, { offline }));
const small = { 'config.json': '{}', 'tokenizer.json': '{ }' };
const index = (...shards: string[]) =>
  JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`weight.${i}`, shard])) });
/** Adds a model, asks for it, and tells what was downloaded. */
async function downloaded(files: Record<string, string>): Promise<string[]> {
  hub.add('models/org/tiny', files);
  hub.takeServed();
  const { folder, name, pin } = await find('org/tiny');
  expect([name, pin?.kind, folder.startsWith(cache)]).toEqual(['org/tiny', 'model', true]);
  return hub.takeServed().map(({ path }) => path).sort();
}

describe('the files of a model', () => {
  it('are its configuration, tokenizer and safetensors, and nothing else', async () => {
    const others = ['pytorch_model.bin', 'model.gguf', 'original/consolidated.00.pth', 'onnx/model.onnx', 'README.md',
      'tf_model.h5', 'model.fp16.safetensors', 'consolidated.safetensors', '.gitattributes', 'tokenizer.model'];
    const wanted = [...Object.keys(small), 'generation_config.json', 'tokenizer_config.json', 'special_tokens_map.json',
      'added_tokens.json', 'chat_template.jinja', 'model.safetensors'];
    expect(await downloaded(Object.fromEntries([...others, ...wanted].map((path) => [path, `{"of": "${path}"}`]))))
      .toEqual(wanted.sort());
  });

  it('are the shards that the index names', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    expect(await downloaded({
      ...small, 'model.safetensors.index.json': index(...shards, shards[0]!), [shards[0]!]: 'a', [shards[1]!]: 'b',
      'other-00001-of-00001.safetensors': 'c',
    })).toEqual([...Object.keys(small), ...shards, 'model.safetensors.index.json'].sort());
  });
});

describe('a model that cannot be used is refused by name, before its weights are downloaded', () => {
  it.each([
    ['only pickles', { ...small, 'pytorch_model.bin': 'x' }, /«pytorch_model.bin», un pickle de Python, .*ejecutar/],
    ['no weights', small, /falta «model\.safetensors»/],
    ['no configuration', { 'model.safetensors': 'x' }, /falta «config\.json»/],
    ['no tokenizer', { 'config.json': '{}', 'model.safetensors': 'x' }, /falta «tokenizer\.json»/],
    ['a shard that is not there', { ...small, 'model.safetensors.index.json': index('absent.safetensors') }, /falta «absent\.safetensors»/],
    ['a broken index', { ...small, 'model.safetensors.index.json': '{"weight_map": 3}' }, /«weight_map»/],
  ])('%s', async (_, files, expected) => {
    hub.add('models/org/bad', files);
    hub.takeServed();
    expect(await userErrorFrom(find('org/bad'), '')).toMatch(expected);
    expect(hub.takeServed().map(({ path }) => path)).not.toContain('model.safetensors');
  });

  it('an incomplete copy in the cache, without network', async () => {
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    hub.add('models/org/tiny', { ...small, 'model.safetensors.index.json': index(...shards), [shards[0]!]: 'a' });
    await userErrorFrom(find('org/tiny'), shards[1]!); // the index and nothing else came
    expect(await userErrorFrom(find('org/tiny', true), cache)).toMatch(/^HF_HUB_OFFLINE está activo .* falta «config\.json»: complétala/);
  });
});

describe('a folder that exists', () => {
  it('wins over a name of the hub, and nobody is asked', async () => {
    const before = process.cwd();
    mkdirSync(at('here', 'org', 'tiny'), { recursive: true });
    hub.takeServed();
    process.chdir(at('here'));
    try {
      expect(await find('org/tiny')).toEqual({ folder: 'org/tiny', name: 'org/tiny', pin: undefined });
    } finally {
      process.chdir(before);
    }
    expect(hub.asked).toEqual([]);
  });

  it.each(['absent', './org/tiny', '/nowhere/org/tiny', 'a/b/c', 'org/tiny@'])('«%s» is neither', async (model) => {
    expect(await userErrorFrom(find(model), `«${model}»`)).toMatch(/no es una carpeta que exista ni un nombre del hub/);
  });
});
