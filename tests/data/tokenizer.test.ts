import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { alpacaPrompt } from '../../src/data/prompt.ts';
import { checkTokenizer, loadTokenizer } from '../../src/data/tokenizer.ts';
import { userErrorOf } from '../temporary.ts';

const tokenizer = loadTokenizer('assets/model');
const golden = JSON.parse(readFileSync('tests/golden/tokenizer/ids.json', 'utf8')) as { text: string; ids: number[] }[];

describe('the embedded tokenizer', () => {
  it.each(golden)('gives the ids of the Python library: %j', ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('has 4,096 entries and the three special tokens', () => {
    expect(tokenizer).toMatchObject({ vocabSize: 4096, bosId: 0, eosId: 1, padId: 2 });
    expect(tokenizer.decode([0, ...tokenizer.encode('La B.'), 1, 2])).toBe('La B.');
  });

  it('has small numbers, quotes and the words of the prompt as single tokens', () => {
    for (const piece of [...Array.from({ length: 61 }, (_, n) => ` ${n}`).slice(1), ' «', '»', '».', ' capital', ' Perú']) {
      expect(tokenizer.encode(piece), piece).toHaveLength(1);
    }
    const prompt = alpacaPrompt({ instruction: '' });
    expect(tokenizer.encode(prompt).length).toBe(prompt.match(/[\p{L}]+|###|[.:]|\n/gu)!.length);
  });
});

describe.each(['llama2', 'llama3', 'qwen', 'zephyr', 'smollm2'])('a tokenizer like that of %s', (kind) => {
  const golden = join(import.meta.dirname, '../golden/tokenizers', kind);
  const { texts } = JSON.parse(readFileSync(join(golden, 'reference.json'), 'utf8')) as {
    texts: { text: string; ids: number[]; special: number[]; decoded: string }[];
  };
  const tokenizer = loadTokenizer(golden);

  it.each(texts)('reads $text as transformers does, and writes it back', ({ text, ids, special, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    // SmolLM2's own adds nothing, but a text of ours begins with the token that it names.
    if (kind !== 'smollm2') expect([...tokenizer.bosId === undefined ? [] : [tokenizer.bosId], ...ids]).toEqual(special);
    expect(tokenizer.decode(special)).toBe(decoded);
  });
});

it('the special tokens are where each kind of folder has them', () => {
  const of = (kind: string) => loadTokenizer(join(import.meta.dirname, '../golden/tokenizers', kind));
  expect(of('llama2')).toMatchObject({ bosId: 1, eosId: 2, eosIds: [2], padId: 0 });
  expect(of('llama3')).toMatchObject({ bosId: 397, eosId: 403, eosIds: [403, 398, 402], padId: 403 });
  expect(of('qwen')).toMatchObject({ bosId: undefined, eosId: 397, eosIds: [397, 395], padId: 395 });
  expect(of('zephyr')).toMatchObject({ bosId: 1, eosId: 2, eosIds: [2], padId: 2 });
  expect(of('smollm2')).toMatchObject({ bosId: undefined, eosId: 395, eosIds: [395], padId: 395 });
});

const splitAt = (text: string, behavior: string, invert = false) =>
  ({ type: 'Split', pattern: { String: text }, behavior, invert });

describe('loadTokenizer', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join('assets/model', name), join(folder, name));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const writeConfig = (config: object) => {
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  };

  it('pads with the end token where the folder names no other; a token may be an object', () => {
    writeConfig({ bos_token: null, eos_token: { content: '</s>', special: true } });
    expect(loadTokenizer(folder)).toMatchObject({ bosId: 0, eosId: 1, padId: 1 });
  });

  it('begins a text with nothing without a post-processor that adds it, unless the folder says so', () => {
    const file = join(folder, 'tokenizer.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')) as object, post_processor: null }));
    expect(loadTokenizer(folder).bosId).toBeUndefined();
    writeConfig({ bos_token: '<s>', eos_token: '</s>', add_bos_token: true });
    expect(loadTokenizer(folder).bosId).toBe(0);
  });

  it('refuses a folder without an end token, and one that names an unknown token', () => {
    writeConfig({});
    expect(() => loadTokenizer(folder)).toThrow(/ningún archivo dice qué token cierra un texto: .* «eos_token»/);
    writeConfig({ eos_token: '<|fin|>' });
    expect(() => loadTokenizer(folder)).toThrow(/«eos_token».*«<\|fin\|>», que no está/);
  });

  it('needs no tokenizer_config.json where another file gives the end token', () => {
    rmSync(join(folder, 'tokenizer_config.json'));
    expect(() => loadTokenizer(folder)).toThrow(/En «.*» ningún archivo dice qué token cierra un texto/);
    cpSync(join('assets/model', 'config.json'), join(folder, 'config.json'));
    const without = loadTokenizer(folder);
    expect(without).toMatchObject({ bosId: 0, eosId: 1, eosIds: [1], padId: 2, vocabSize: 4096, chat: undefined });
    expect(without.encode('La capital de Perú es Lima.')).toEqual(tokenizer.encode('La capital de Perú es Lima.'));
    rmSync(join(folder, 'config.json'));
    writeFileSync(join(folder, 'special_tokens_map.json'), '{"eos_token": "</s>"}');
    expect(loadTokenizer(folder)).toMatchObject({ bosId: 0, eosId: 1, padId: 1 });
  });

  it('is not held up by an id out of all measure, which no model has a row for', () => {
    const file = join(folder, 'tokenizer.json');
    const contents = readFileSync(file, 'utf8');
    writeFileSync(file, contents.replace('"id":2,', '"id":2000000000,'));
    expect(loadTokenizer(folder).vocabSize).toBe(2_000_000_001);
    writeFileSync(file, contents.replace('"id":2,', '"id":-2,'));
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json.*added_tokens\.2\.id/);
  });

  it('refuses a type of model that it does not know; old files name none', () => {
    const file = join(folder, 'tokenizer.json');
    const contents = JSON.parse(readFileSync(file, 'utf8')) as { model: object };
    const write = (type?: string) =>
      writeFileSync(file, JSON.stringify({ ...contents, model: { ...contents.model, type } }));
    write();
    expect(loadTokenizer(folder).encode('La B.')).toEqual(tokenizer.encode('La B.'));
    write('Foo');
    expect(() => loadTokenizer(folder))
      .toThrow(/tokenizer\.json.*«model\.type» es «Foo» y se esperaba «BPE», «Unigram» o «WordPiece»/);
  });

  it.each([
    ['Split con behavior MergedWithNext', { pre_tokenizer: splitAt('-', 'MergedWithNext') }],
    ['Split con behavior Contiguous e invert', { pre_tokenizer: splitAt('-', 'Contiguous', true) }],
    ['Split con behavior Removed', { pre_tokenizer: { type: 'Sequence', pretokenizers: [splitAt('-', 'Removed')] } }],
    ['Punctuation con behavior Removed', { pre_tokenizer: { type: 'Punctuation', behavior: 'Removed' } }],
    ['Unigram con byte_fallback', {
      model: { type: 'Unigram', unk_id: 0, byte_fallback: true, vocab: [['<unk>', 0], ['</s>', 0], ['a', -1]] },
    }],
    ['single_word en el token «</s>»', { added_tokens: [{ id: 1, content: '</s>', single_word: true, special: true }] }],
  ])('refuses by name what would give other ids than the Python library: %s', (what, change) => {
    const file = join(folder, 'tokenizer.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')) as object, ...change }));
    expect(userErrorOf(() => loadTokenizer(folder), file)).toContain(`usa ${what}, que aquí no se admite`);
  });

  const change = (changes: object) => {
    const file = join(folder, 'tokenizer.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')) as object, ...changes }));
  };

  it('refuses an expression that may never come to an end, wherever in the file it is', () => {
    change({ pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' }] } });
    expect(userErrorOf(() => loadTokenizer(folder), join(folder, 'tokenizer.json')))
      .toContain('la expresión regular «(a+)+$» podría no acabar nunca');
  });

  it('takes what is left out of a text by an expression, which the library does as Python’s', () => {
    change({ pre_tokenizer: { type: 'Split', pattern: { Regex: '-' }, behavior: 'Removed' } });
    expect(loadTokenizer(folder).vocabSize).toBe(4096);
  });

  it('counts the entries of a list, as Unigram’s, too', () => {
    const vocab = [['<unk>', 0], ['</s>', 0], ['a', -1], ['b', -2]];
    change({ model: { type: 'Unigram', unk_id: 0, vocab }, added_tokens: [{ id: 1, content: '</s>', special: true }], post_processor: null });
    writeConfig({ eos_token: '</s>' });
    expect(loadTokenizer(folder).vocabSize).toBe(4);
  });

  it('pads with the token that the tokenizer names, before that of the generation', () => {
    writeFileSync(join(folder, 'generation_config.json'), '{"pad_token_id": 7}');
    expect(loadTokenizer(folder).padId).toBe(2);
    writeConfig({ eos_token: '</s>' });
    expect(loadTokenizer(folder).padId).toBe(7);
  });

  it('says in which file the unknown token is named', () => {
    for (const name of ['tokenizer_config.json', 'special_tokens_map.json']) {
      writeConfig({});
      writeFileSync(join(folder, name), '{"eos_token": "<|fin|>"}');
      userErrorOf(() => loadTokenizer(folder), `de «${join(folder, name)}» nombra «<|fin|>»`);
    }
  });

  it('takes what splits at a space where the text has none left, as in Gemma', () => {
    const file = join(folder, 'tokenizer.json');
    const replaced = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    const gemma = { normalizer: replaced, pre_tokenizer: splitAt(' ', 'MergedWithPrevious') };
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')) as object, ...gemma }));
    expect(loadTokenizer(folder).vocabSize).toBe(4096);
    change({ normalizer: null });
    userErrorOf(() => loadTokenizer(folder), 'usa Split con behavior MergedWithPrevious');
  });

  it('refuses a missing or malformed file', () => {
    writeFileSync(join(folder, 'tokenizer.json'), '{"model": {}}');
    expect(() => loadTokenizer(folder)).toThrow(/tokenizer\.json/);
    rmSync(join(folder, 'tokenizer.json'));
    expect(() => loadTokenizer(folder)).toThrow(/No existe el archivo .*tokenizer\.json/);
  });
});

describe('checkTokenizer', () => {
  it('refuses ids that have no row in the embedding', () => {
    expect(() => { checkTokenizer(tokenizer, 4096); }).not.toThrow();
    expect(() => { checkTokenizer(tokenizer, 4095); }).toThrow('El tokenizador tiene 4096 entradas y el modelo solo 4095');
  });
});
