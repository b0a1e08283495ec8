import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Lora, LoraOptions } from '../../src/peft/lora.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const at = temporaryFolder();

const ids = Int32Array.of(0, 3, 4, 5, 6, 7);
const answersOf = (model: LlamaModel) => valuesOf(() => logits(model, ids, 1));

/** An adapter that has learnt something. */
function trained(options: Partial<LoraOptions> = {}): PeftModel<Lora> {
  const model = addLora(tinyBase(), { r: 2, alpha: 6, dropout: 0.1, ...options });
  const random = new Random(9);
  for (const parameter of model.parameters) {
    parameter.values.forEach((value, i) => (parameter.values[i] = value + 0.3 * random.normal()));
    parameter.upload();
  }
  return model;
}

describe('an adapter', () => {
  it.each<Partial<LoraOptions>>([
    { targetModules: 'all-linear' },
    { targetModules: ['q_proj', 'v_proj'] },
    { targetModules: String.raw`.*\.(q|v)_proj` },
    { useRslora: true },
    { useDora: true },
    { rankPattern: { 'q_proj': 1, 'layers\\.1\\..*': 3 }, alphaPattern: { v_proj: 2 } },
    { targetModules: ['q_proj'], layersToTransform: 1, layersPattern: 'layers', excludeModules: ['v_proj'] },
    { modulesToSave: ['embed_tokens', 'norm'] },
  ])('saved and loaded gives the same logits, bit for bit (%o)', (options) => {
    const model = trained(options);
    saveAdapter(model, at('same'), { baseModel: 'base' });
    const base = tinyBase();
    const plain = answersOf(base);
    const loaded = loadAdapter(base, at('same')) as PeftModel<Lora>;
    expect(answersOf(base)).toEqual(answersOf(model.base));
    expect(answersOf(base)).not.toEqual(plain);
    expect(loaded.adapter.options).toMatchObject({ r: 2, alpha: 6, dropout: 0.1 });
    expect(loaded.adapter.options.rankPattern).toEqual(model.adapter.options.rankPattern);
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

it.each(['F16', 'BF16'] as const)('an adapter in %s is widened', (dtype) => {
  const model = trained();
  for (const { values } of model.parameters) values.forEach((value, i) => (values[i] = Math.round(value * 16) / 16));
  model.parameters.forEach((parameter) => parameter.upload());
  saveAdapter(model, at(dtype), { baseModel: 'base' });
  const half = (value: number) => { // exact for sixteenths below 8
    if (value === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    const mantissa = Math.abs(value) / 2 ** exponent - 1;
    const sign = value < 0 ? 0x8000 : 0;
    return dtype === 'F16' ? sign | ((exponent + 15) << 10) | (mantissa * 1024) : sign | ((exponent + 127) << 7) | (mantissa * 128);
  };
  writeSafetensors(at(dtype, 'adapter_model.safetensors'), Object.fromEntries(model.parameters.map(
    ({ name, shape, values }) => [`base_model.model.${name}`, { dtype, shape, data: Uint16Array.from(values, half) }])));
  const base = tinyBase();
  loadAdapter(base, at(dtype));
  expect(answersOf(base)).toEqual(answersOf(model.base));
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
    ['another method', { peft_type: 'VERA' }, '«VERA»'],
    ['a method of the name of what every object has', { peft_type: 'constructor' }, '«constructor»'],
    ['no rank', { r: undefined }, 'falta «r»'],
    ['a rank of 0', { r: 0 }, '«r» es 0 y se esperaba un entero mayor que 0'],
    ['an expression that names no layer', { target_modules: 'q_proj' }, 'target_modules: no elige ninguna capa'],
    ['an expression that names the head', { target_modules: '.*' }, '«model.embed_tokens» no puede llevar adaptador'],
    ['an expression that is none', { target_modules: '(q_proj' }, 'target_modules: la expresión regular «(q_proj» no es válida'],
    ['an unknown module', { target_modules: ['q_proj', 'c_attn'] }, '«c_attn»'],
    ['no modules', { target_modules: [] }, 'target_modules'],
    ['the head', { target_modules: ['q_proj', 'lm_head'] }, '«lm_head» no puede llevar adaptador'],
    ['layers beside an expression', { target_modules: '.*q_proj', layers_to_transform: [0] }, 'layers_to_transform'],
    ['a module to save that is none', { modules_to_save: ['score'] }, 'modules_to_save: no existe el módulo «score»'],
    ['a rank of 0 in a pattern', { rank_pattern: { q_proj: 0 } }, '«rank_pattern.q_proj»'],
    ['a scale that is no number', { lora_alpha: 'x' }, '«lora_alpha» es «x» y se esperaba un número'],
    ['biases', { bias: 'all' }, '«bias» es «all» y solo se admite «none»'],
    ['a bias of B', { lora_bias: true }, '«lora_bias»'],
    ['another layout', { fan_in_fan_out: true }, '«fan_in_fan_out»'],
    ['an initialization that changes the base', { init_lora_weights: 'pissa_niter_4' }, '«init_lora_weights»'],
    ['replicated layers', { layer_replication: [[0, 2], [1, 2]] }, '«layer_replication»'],
    ['single tokens', { trainable_token_indices: { embed_tokens: [1] } }, '«trainable_token_indices»'],
    ['an invocation', { alora_invocation_tokens: [1, 2] }, '«alora_invocation_tokens»'],
    ['another task', { task_type: 'SEQ_CLS' }, '«task_type»'],
    ['what a later PEFT may ask', { use_something_new: true }, '«use_something_new»'],
  ])('%s', (_what, change, says) => {
    changeConfig(change);
    expect(refusal(config())).toContain(says);
  });

  it('another rank than its tensors: the base has nothing to do with it', () => {
    changeConfig({ r: 4 });
    expect(refusal(config())).toMatch(/dice rango 4 y .*q_proj\.lora_A.* tiene rango 2; .* mismo adaptador/);
    expect(refusal(config())).not.toContain('base con que');
  });

  it('a tensor missing', () => {
    changeWeights((tensors) => { delete tensors[some]; });
    expect(refusal(weights())).toContain(`falta el tensor «${some}»`);
  });

  it('a tensor too many', () => {
    changeWeights((tensors) => { tensors[some.replace('layers.0', 'layers.7')] = tensors[some]!; });
    expect(refusal(weights())).toContain('layers.7');
  });

  it('magnitudes without DoRA, and DoRA without them', () => {
    changeConfig({ use_dora: true });
    expect(refusal(weights())).toContain('lora_magnitude_vector');
    saveAdapter(trained({ useDora: true }), at('bad'), { baseModel: 'base' });
    changeConfig({ use_dora: false });
    expect(refusal(weights())).toContain('lora_magnitude_vector');
  });

  it('values that are no numbers', () => {
    changeWeights((tensors) => { tensors[some] = { dtype: 'F32', shape: [8, 2], data: new Float32Array(16).fill(NaN) }; });
    expect(refusal(weights())).toContain('no son números');
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

  it('a file, or the folder above that the demo wrote', () => {
    expect(userErrorOf(() => loadAdapter(tinyBase(), weights()), weights())).toContain('se esperaba una carpeta');
    saveAdapter(trained(), at('qlora', 'adapter'), { baseModel: 'base' });
    expect(userErrorOf(() => loadAdapter(tinyBase(), at('qlora')), at('qlora')))
      .toContain(`no hay ningún adaptador, y sí en «${at('qlora', 'adapter')}»: indica esa carpeta`);
  });
});
