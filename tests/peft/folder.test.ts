import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { LoraOptions, PeftModel } from '../../src/peft/lora.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();

const ids = Int32Array.of(0, 3, 4, 5, 6, 7);
const answersOf = (model: LlamaModel) => tf.tidy(() => logits(model, ids, 1).dataSync().slice());

/** An adapter that has learnt something. */
function trained(options: Partial<LoraOptions> = {}): PeftModel {
  const model = addLora(tinyBase(), { r: 2, alpha: 6, dropout: 0.1, ...options });
  const random = new Random(9);
  for (const parameter of model.parameters) {
    parameter.values.forEach((value, i) => (parameter.values[i] = value + 0.3 * random.normal()));
    parameter.upload();
  }
  return model;
}

describe('an adapter', () => {
  it.each([
    ['all-linear' as const], [['q_proj', 'v_proj']],
  ])('saved and loaded gives the same logits, bit for bit (%s)', (targetModules) => {
    const model = trained({ targetModules });
    saveAdapter(model, at('same'), { baseModel: 'base' });
    const base = tinyBase();
    const plain = answersOf(base);
    const loaded = loadAdapter(base, at('same'));
    expect(answersOf(base)).toEqual(answersOf(model.base));
    expect(answersOf(base)).not.toEqual(plain);
    expect(loaded.adapter.options).toMatchObject({ r: 2, alpha: 6, dropout: 0.1 });
    expect(loaded.parameters.map(({ name, values }) => [name, values]))
      .toEqual(model.parameters.map(({ name, values }) => [name, values]));
  });

  it('is the folder that PEFT opens: its files, names, shapes and fields', () => {
    saveAdapter(trained({ r: 2 }), at('peft'), { baseModel: 'org/base' });
    expect(readdirSync(at('peft')).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors']);
    expect(JSON.parse(readFileSync(at('peft', 'adapter_config.json'), 'utf8'))).toMatchObject({
      peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: 'org/base', r: 2, lora_alpha: 6,
      lora_dropout: 0.1, bias: 'none', inference_mode: true,
      target_modules: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    });
    const weights = readSafetensors(at('peft', 'adapter_model.safetensors'));
    expect(weights.metadata).toEqual({ format: 'pt' });
    expect(weights.names()).toHaveLength(2 * 7 * tinyConfig.layers);
    const prefix = 'base_model.model.model.layers.1.mlp.gate_proj';
    expect(weights.entry(`${prefix}.lora_A.weight`)).toMatchObject({ dtype: 'F32', shape: [2, 8] });
    expect(weights.entry(`${prefix}.lora_B.weight`)).toMatchObject({ dtype: 'F32', shape: [12, 2] });
    expect(readFileSync(at('peft', 'README.md'), 'utf8')).toContain('base_model: org/base');
  });

  it('with the smallest config that PEFT loads is loaded too', () => {
    const model = trained();
    saveAdapter(model, at('least'), { baseModel: 'base' });
    writeFileSync(at('least', 'adapter_config.json'), JSON.stringify({
      peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 2, lora_alpha: 6, target_modules: 'all-linear',
    }));
    const base = tinyBase();
    loadAdapter(base, at('least'));
    expect(answersOf(base)).toEqual(answersOf(model.base));
  });
});

describe('a folder that does not fit is refused, and the base stays without an adapter:', () => {
  const config = () => at('bad', 'adapter_config.json');
  const weights = () => at('bad', 'adapter_model.safetensors');
  beforeEach(() => saveAdapter(trained(), at('bad'), { baseModel: 'base' }));

  function refusal(path: string): string {
    const base = tinyBase();
    const message = userErrorOf(() => loadAdapter(base, at('bad')), path);
    expect(base.adapter).toBeUndefined();
    return message;
  }

  function changeConfig(change: object): void {
    writeFileSync(config(), JSON.stringify({ ...JSON.parse(readFileSync(config(), 'utf8')) as object, ...change }));
  }

  function changeWeights(change: (tensors: Record<string, TensorData>) => void): void {
    const saved = readSafetensors(weights());
    const tensors = Object.fromEntries(saved.names().map((name) =>
      [name, { ...saved.entry(name), data: saved.bytes(name) }]));
    change(tensors);
    writeSafetensors(weights(), tensors, saved.metadata);
  }

  const some = 'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight';

  it.each([
    ['another method', { peft_type: 'IA3' }, '«IA3»'],
    ['no rank', { r: undefined }, '«r»'],
    ['a rank of 0', { r: 0 }, '«r»'],
    ['a pattern of modules', { target_modules: '.*_proj' }, '«.*_proj»'],
    ['an unknown module', { target_modules: ['q_proj', 'c_attn'] }, '«c_attn»'],
    ['no modules', { target_modules: [] }, 'target_modules'],
    ['another scale than alpha / r', { use_rslora: true }, 'use_rslora'],
    ['magnitudes', { use_dora: true }, 'use_dora'],
    ['biases', { bias: 'all' }, 'bias'],
  ])('%s', (_what, change, says) => {
    changeConfig(change);
    expect(refusal(config())).toContain(says);
  });

  it('another rank than its tensors', () => {
    changeConfig({ r: 4 });
    expect(refusal(weights())).toMatch(/mide .*2.* y este modelo espera .*4/);
  });

  it('a tensor missing', () => {
    changeWeights((tensors) => { delete tensors[some]; });
    expect(refusal(weights())).toContain(`falta el tensor «${some}»`);
  });

  it('a tensor too many', () => {
    changeWeights((tensors) => { tensors[some.replace('layers.0', 'layers.7')] = tensors[some]!; });
    expect(refusal(weights())).toContain('layers.7');
  });

  it('a tensor of another shape', () => {
    changeWeights((tensors) => { tensors[some] = { ...tensors[some]!, shape: [2, 8] }; });
    expect(refusal(weights())).toContain('mide 2×8 y este modelo espera 8×2');
  });

  it('no weights, or no folder', () => {
    writeFileSync(weights(), '');
    expect(refusal(weights())).toContain('safetensors');
    expect(existsSync(at('absent'))).toBe(false);
    userErrorOf(() => loadAdapter(tinyBase(), at('absent')), at('absent', 'adapter_config.json'));
  });
});
