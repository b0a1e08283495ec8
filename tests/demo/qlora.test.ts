import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { testBackend } from '../backend.ts';
import { qlora } from '../../demo/qlora.ts';
import type { QloraOptions, QloraShow } from '../../demo/qlora.ts';
import { UserError } from '../../src/errors.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';

beforeAll(() => useBackend(testBackend('wasm')));
const at = temporaryFolder();
const records = Array.from({ length: 6 }, (_, i) => ({ instruction: `Di ${i}.`, input: '', output: `Digo ${i}.` }));

beforeEach(() => {
  writeSmallModel(at('model'));
  writeFileSync(at('data.json'), JSON.stringify(records));
});

/** Runs the slide's program; what it told, by the name of the callback. */
async function run({ modelDir = at('model'), ...options }: Partial<QloraOptions> = {}): Promise<string[]> {
  const told: string[] = [];
  const tell = (name: string) => () => void told.push(name);
  const show: QloraShow = {
    loaded: tell('loaded'), adapted: tell('adapted'), data: tell('data'), saved: tell('saved'),
    event: ({ type }) => void told.push(type),
  };
  await qlora({
    modelDir, outDir: at('out'), quant: {}, adapter: { r: 2 },
    data: { files: [at('data.json')], examples: 4, heldOut: 2, template: 'es', maxLength: 256, seed: 1 },
    training: { batchSize: 2, samples: 1 },
    ...options,
  }, show);
  return told;
}

/** The one sentence of a run that could not begin; nothing of it is left. */
async function refusal(options: Partial<QloraOptions> = {}): Promise<string> {
  const error: unknown = await run(options).then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).message).toMatch(/^[^\n]+\.$/);
  expect(existsSync(at('out'))).toBe(false);
  return (error as UserError).message;
}

describe('bad input to the demo', () => {
  const config = () => at('model', 'config.json');
  const weights = () => at('model', 'model.safetensors');
  const changeConfig = (change: object) =>
    writeFileSync(config(), JSON.stringify({ ...JSON.parse(readFileSync(config(), 'utf8')) as object, ...change }));

  it('no model folder', async () => {
    expect(await refusal({ modelDir: at('absent') })).toContain(`«${at('absent')}»`);
  });

  it('no weights', async () => {
    rmSync(weights());
    expect(await refusal()).toContain(`«${weights()}»`);
  });

  it.each([0, 4, 1000, -1])('weights cut at %d bytes', async (length) => {
    writeFileSync(weights(), readFileSync(weights()).subarray(0, length));
    expect(await refusal()).toContain(`«${weights()}»`);
  });

  it('a config.json of another architecture', async () => {
    changeConfig({ model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] });
    const message = await refusal();
    expect(message).toContain(config());
    expect(message).toContain('«gpt2»');
    expect(message).toContain('«llama»');
  });

  it('a config.json of another size', async () => {
    changeConfig({ hidden_size: 128, head_dim: 32 });
    expect(await refusal()).toMatch(/«model\.[\w.]+» mide .*64/);
  });

  it('no tokenizer', async () => {
    rmSync(at('model', 'tokenizer.json'));
    expect(await refusal()).toContain(`«${at('model', 'tokenizer.json')}»`);
  });

  it('a tokenizer of another model, larger than this one\'s vocabulary', async () => {
    writeSmallModel(at('model'), { ...smallConfig, vocabSize: 4000 });
    const message = await refusal();
    expect(message).toContain('4096');
    expect(message).toContain('4000');
    expect(message).toContain('tokenizer.json');
  });

  it.each([
    ['that is not JSON', '{"instruction": ', 'JSON'],
    ['of one record, as JSON Lines', '{"instruction": "a", "output": "b"}', 'no queda ninguno con que entrenar'],
    ['that is an object', '{\n  "instruction": "a"\n}', 'lista'],
    ['that is empty', '[]', 'ningún registro'],
    ['without an instruction', JSON.stringify([...records, { output: 'x' }]), '«instruction»'],
    ['without an answer', JSON.stringify([records[0], { instruction: 'x' }]), '«output»'],
    ['with an answer that is blank', JSON.stringify([{ instruction: 'x', output: ' ' }]), '«output»'],
    ['with a record that is no object', '[1]', 'registro 1'],
  ])('an Alpaca file %s', async (_what, text, says) => {
    writeFileSync(at('data.json'), text);
    const message = await refusal();
    expect(message).toContain(`«${at('data.json')}»`);
    expect(message).toContain(says);
  });

  it('no Alpaca file', async () => {
    rmSync(at('data.json'));
    expect(await refusal()).toContain(`«${at('data.json')}»`);
  });

  it('a rank of 0', async () => {
    expect(await refusal({ adapter: { r: 0 } })).toContain('--r');
  });

  it('a module that does not exist', async () => {
    const message = await refusal({ adapter: { targetModules: ['q_proj', 'c_attn'] } });
    expect(message).toContain('«c_attn»');
    expect(message).toContain('q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj');
  });
});

describe('the demo', () => {
  it('tells each step, and saves the adapter at the end', async () => {
    expect(await run()).toEqual([
      'loaded', 'adapted', 'data', 'start', 'evaluation', 'sample', 'step', 'step', 'memory', 'evaluation', 'sample',
      'done', 'saved',
    ]);
    expect(existsSync(at('out', 'adapter', 'adapter_model.safetensors'))).toBe(true);
  });

  it('puts no adapter that has learnt nothing over an older one', async () => {
    await run();
    const saved = readFileSync(at('out', 'adapter', 'adapter_model.safetensors'));
    const told = await run({ adapter: { r: 4 }, training: { batchSize: 2, samples: 1, signal: AbortSignal.abort() } });
    expect(told).not.toContain('saved');
    expect(readFileSync(at('out', 'adapter', 'adapter_model.safetensors')).equals(saved)).toBe(true);
  });
});
