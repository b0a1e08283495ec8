import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import { findArchitecture, readArchitecture } from '../../src/distributed/architecture.ts';
import { HubServer } from '../checkpoint/hub-server.ts';
import { temporaryFolder, userErrorFrom, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const hub = new HubServer();
beforeAll(() => hub.open());
afterAll(() => hub.close());

const embedded = join(import.meta.dirname, '../../assets/model');
const find = (model: string, offline = false) =>
  findArchitecture(model, silent, () => hub.settings(at('cache'), { offline }));

describe('the architecture of a plan', () => {
  it('comes from a folder, which needs no weights, or from a config.json', async () => {
    copyFileSync(join(embedded, 'config.json'), at('config.json'));
    expect(await find(at())).toEqual(await find(join(embedded, 'config.json')));
    expect(await find(at())).toMatchObject({ layers: 4, hiddenSize: 256 });
  });

  it('or from a well-known name, without asking anybody', async () => {
    hub.takeServed();
    expect(await find('meta-llama/Llama-2-7b-hf', true)).toMatchObject({ layers: 32, hiddenSize: 4096 });
    expect(hub.takeServed()).toEqual([]);
  });

  it('or from any other of the hub, of which config.json alone is downloaded, once', async () => {
    const config = JSON.stringify({
      model_type: 'llama', vocab_size: 100, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 3,
      num_attention_heads: 4, num_key_value_heads: 2,
    });
    hub.add('models/org/other', { 'config.json': config, 'model.safetensors': 'weights', 'tokenizer.json': '{}' });
    expect(await find('org/other')).toMatchObject({ layers: 3, hiddenSize: 64, kvHeads: 2 });
    expect(hub.takeServed().map(({ path }) => path)).toEqual(['config.json']);
    expect(await find('org/other', true)).toMatchObject({ layers: 3 });
    expect(hub.takeServed()).toEqual([]);
  });

  it('that has one', async () => {
    hub.add('models/org/empty', { 'model.safetensors': 'weights' });
    expect((await userErrorFrom(find('org/empty'), 'org/empty'))).toContain('config.json');
  });

  it('without a network says so in one sentence', async () => {
    expect(await userErrorFrom(find('nadie/nada', true), 'nadie/nada')).toMatch(/HF_HUB_OFFLINE[^\n]+\.$/);
  });

  it('and from nothing else', async () => {
    expect(await userErrorFrom(find('no hay tal cosa'), 'no hay tal cosa')).toContain('meta-llama/Llama-2-7b-hf');
    writeFileSync(at('other.json'), '{"model_type":"t5"}');
    userErrorOf(() => readArchitecture(at('other.json')), at('other.json'));
  });
});
