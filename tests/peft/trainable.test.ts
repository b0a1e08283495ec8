import { describe, expect, it } from 'vitest';
import { parseConfig, weightShapes } from '../../src/model/config.ts';
import { LlamaModel, logits } from '../../src/model/llama.ts';
import type { Parameter } from '../../src/model/weights.ts';
import { ia3Shapes } from '../../src/peft/ia3.ts';
import { loraDefaults, loraShapes } from '../../src/peft/lora.ts';
import { countParameters, trainableParameters, unfreeze } from '../../src/peft/trainable.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';

// Of the published config.json files, what decides the shapes.
const configs = {
  'SmolLM2-135M': {
    vocab_size: 49152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30, num_attention_heads: 9,
    num_key_value_heads: 3, tie_word_embeddings: true,
  },
  'TinyLlama-1.1B': {
    vocab_size: 32000, hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 22, num_attention_heads: 32,
    num_key_value_heads: 4, tie_word_embeddings: false,
  },
  'Llama-2-7B': {
    vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32,
    num_key_value_heads: 32, tie_word_embeddings: false,
  },
};
const configOf = (name: keyof typeof configs) => parseConfig({ model_type: 'llama', ...configs[name] }, 'config.json');

describe('the trainable parameters, counted from a configuration,', () => {
  const qv = ['q_proj', 'v_proj'];

  // Lines that PEFT 0.21.0 printed for these bases.
  it.each([
    ['SmolLM2-135M', 'all-linear', 'trainable params: 4,884,480 || all params: 139,399,488 || trainable%: 3.5039'],
    ['SmolLM2-135M', qv, 'trainable params: 921,600 || all params: 135,436,608 || trainable%: 0.6805'],
    ['TinyLlama-1.1B', 'all-linear', 'trainable params: 12,615,680 || all params: 1,112,664,064 || trainable%: 1.1338'],
    ['Llama-2-7B', 'all-linear', 'trainable params: 39,976,960 || all params: 6,778,392,576 || trainable%: 0.5898'],
    ['Llama-2-7B', qv, 'trainable params: 8,388,608 || all params: 6,746,804,224 || trainable%: 0.1243'],
  ] as const)('of a %s with r = 16 on %s are the line that PEFT prints', (name, targetModules, line) => {
    const config = configOf(name);
    const count = countParameters(config, loraShapes(config, { ...loraDefaults, r: 16, targetModules }));
    expect(count.line).toBe(line);
    expect(count.percent).toBeCloseTo(100 * count.trainable / count.all, 10);
  });

  it('of IA³ on k, v and down of a Llama-2-7B are 614,400', () => {
    const config = configOf('Llama-2-7B');
    const shapes = ia3Shapes(config);
    expect(countParameters(config, shapes)).toMatchObject({ trainable: 614_400, all: 6_738_415_616 + 614_400 });
    expect(countParameters(config, shapes).percent.toFixed(4)).toBe('0.0091');
    expect(shapes.get('model.layers.31.self_attn.k_proj.ia3_l')).toEqual([4096, 1]);
    expect(shapes.get('model.layers.31.mlp.down_proj.ia3_l')).toEqual([1, 11008]);
  });

  it('add a magnitude a row in DoRA, and nothing in rsLoRA', () => {
    const config = configOf('Llama-2-7B');
    const trainable = (options: object) =>
      countParameters(config, loraShapes(config, { ...loraDefaults, targetModules: qv, ...options })).trainable;
    expect(trainable({ useRslora: true })).toBe(8_388_608);
    expect(trainable({ useDora: true })).toBe(8_388_608 + 32 * 2 * 4096);
  });

  it('take no weights and no time: ten Llama-2-7B are counted within two seconds of a busy machine', () => {
    const config = configOf('Llama-2-7B');
    const began = performance.now();
    for (let i = 0; i < 10; i++) countParameters(config, loraShapes(config, loraDefaults));
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

it('the trainable parameters of a whole model are all of it', () => {
  const parameters = [...weightShapes(tinyConfig)].map(([name, shape]) => ({ name, shape }) as unknown as Parameter);
  const base = new LlamaModel(tinyConfig, new Map(parameters.map((parameter) => [parameter.name, parameter])));
  const { trainable, all, percent } = trainableParameters({ base, parameters });
  expect([trainable, percent]).toEqual([all, 100]);
});

describe('a model unfrozen', () => {
  it('answers as before, every weight of it trained', async () => {
    await useBackend(testBackend('cpu'));
    const ids = Int32Array.of(3, 4, 5);
    const answer = (base: LlamaModel) => valuesOf(() => logits(base, ids, 1));
    const before = answer(tinyBase());
    const trained = unfreeze(tinyBase());
    expect(answer(trained.base)).toEqual(before);
    expect(trained.parameters.map(({ name }) => name)).toEqual([...weightShapes(tinyConfig).keys()]);
    expect(trainableParameters(trained).percent).toBe(100);
    trained.parameters.at(-1)!.values.fill(2);
    trained.parameters.at(-1)!.upload();
    expect(answer(trained.base)).not.toEqual(before);
  });
});
