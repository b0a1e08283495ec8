import { describe, expect, it } from 'vitest';
import { isLinear, linearNames, parseConfig, toHuggingFace, weightShapes } from '../../src/model/config.ts';
import type { LlamaConfig } from '../../src/model/config.ts';
import { userErrorOf } from '../temporary.ts';
import { tinyConfig } from '../tiny.ts';

const file = 'somewhere/config.json';

/** TinyLlama's config.json, as published, less what is not read. */
const tinyLlama = {
  architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: 32000, hidden_size: 2048,
  intermediate_size: 5632, num_hidden_layers: 22, num_attention_heads: 32, num_key_value_heads: 4, hidden_act: 'silu',
  max_position_embeddings: 2048, rms_norm_eps: 1e-5, rope_scaling: null, tie_word_embeddings: false,
};

describe('a config.json', () => {
  it('is read in the names of the field', () => {
    expect(parseConfig(tinyLlama, file)).toEqual({
      vocabSize: 32000, hiddenSize: 2048, intermediateSize: 5632, layers: 22, heads: 32, kvHeads: 4, headDim: 64,
      maxPositions: 2048, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: false,
    });
  });

  it('without key-value heads has one for every head', () => {
    expect(parseConfig({ ...tinyLlama, num_key_value_heads: undefined }, file).kvHeads).toBe(32);
    expect(parseConfig({ ...tinyLlama, num_key_value_heads: null }, file).kvHeads).toBe(32);
  });

  it('may name the size of a head', () => {
    expect(parseConfig({ ...tinyLlama, head_dim: 128 }, file).headDim).toBe(128);
  });

  it('says the base of the rotation as transformers 4 or 5 write it', () => {
    expect(parseConfig({ ...tinyLlama, rope_theta: 5e5 }, file).ropeTheta).toBe(5e5);
    expect(parseConfig({ ...tinyLlama, rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }, file).ropeTheta)
      .toBe(1e6);
  });

  it('says how the rotation is stretched, in the old words or the new', () => {
    const scalingOf = (change: object) => parseConfig({ ...tinyLlama, ...change }, file).ropeScaling;
    expect(scalingOf({ rope_scaling: { type: 'linear', factor: 2 } })).toEqual({ type: 'linear', factor: 2 });
    expect(scalingOf({ rope_parameters: { rope_type: 'dynamic', factor: 4 } })).toEqual({ type: 'dynamic', factor: 4 });
    const llama3 = { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4 };
    const read = { type: 'llama3', factor: 32, lowFreqFactor: 1, highFreqFactor: 4 };
    expect(scalingOf({ rope_scaling: { ...llama3, original_max_position_embeddings: 8192 } }))
      .toEqual({ ...read, originalMaxPositions: 8192 });
    expect(scalingOf({ rope_scaling: llama3 })).toEqual({ ...read, originalMaxPositions: 2048 });
    expect(scalingOf({ rope_scaling: { rope_type: 'default' } })).toBeUndefined();
  });

  it('fills in what YaRN leaves out, as transformers does', () => {
    const yarnOf = (change: object, others: object = {}) =>
      parseConfig({ ...tinyLlama, ...others, rope_scaling: { type: 'yarn', factor: 4, ...change } }, file).ropeScaling;
    const read = {
      type: 'yarn', factor: 4, originalMaxPositions: 2048, betaFast: 32, betaSlow: 1, truncate: true,
      attentionFactor: 1 + 0.1 * Math.log(4),
    };
    expect(yarnOf({})).toEqual(read);
    expect(yarnOf({ original_max_position_embeddings: 256, factor: null }))
      .toEqual({ ...read, originalMaxPositions: 256, factor: 8, attentionFactor: 1 + 0.1 * Math.log(8) });
    expect(yarnOf({ original_max_position_embeddings: 256 }, { original_max_position_embeddings: 512 }))
      .toEqual({ ...read, originalMaxPositions: 512 });
    expect(yarnOf({ beta_fast: 0, beta_slow: 2, truncate: false }))
      .toEqual({ ...read, betaSlow: 2, truncate: false });
    expect(yarnOf({ attention_factor: 1.5, mscale: 1, mscale_all_dim: 2 })).toEqual({ ...read, attentionFactor: 1.5 });
    expect(yarnOf({ mscale: 0.5, mscale_all_dim: 2 }))
      .toEqual({ ...read, attentionFactor: (1 + 0.05 * Math.log(4)) / (1 + 0.2 * Math.log(4)) });
    expect(yarnOf({ mscale: 0.5 })).toEqual(read);
    expect(yarnOf({ factor: 0.5 })).toEqual({ ...read, factor: 0.5, attentionFactor: 1 });
  });

  it('says nothing of the rotation by an empty field beside a full one', () => {
    const rope_parameters = { rope_type: 'linear', factor: 2, rope_theta: 500 };
    expect(parseConfig({ ...tinyLlama, rope_scaling: {}, rope_parameters }, file))
      .toMatchObject({ ropeScaling: { type: 'linear', factor: 2 }, ropeTheta: 500 });
  });

  it('may have biases', () => {
    expect(parseConfig({ ...tinyLlama, attention_bias: true }, file).biases)
      .toEqual(['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj']);
    expect(parseConfig({ ...tinyLlama, mlp_bias: true }, file).biases)
      .toEqual(['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj']);
  });

  it('of our own is read back as it was', () => {
    expect(parseConfig(toHuggingFace(tinyConfig, { bosId: 0, eosId: 1, padId: 2 }), file)).toEqual(tinyConfig);
  });
});

describe('a config.json of another family', () => {
  const of = (model_type: string, change: object = {}) =>
    parseConfig({ ...tinyLlama, model_type, num_hidden_layers: 4, ...change }, file);
  const { num_key_value_heads: _heads, max_position_embeddings: _positions, ...bare } = tinyLlama;

  it('is Llama where it says nothing else', () => {
    const { maxPositions, kvHeads, ...llama } = of('llama');
    expect(of('mistral', { sliding_window: null })).toEqual({ maxPositions, kvHeads, ...llama });
  });

  it('takes what is left out from the configuration class of transformers', () => {
    expect(parseConfig({ ...bare, model_type: 'llama' }, file)).toMatchObject({ kvHeads: 32, maxPositions: 2048 });
    expect(parseConfig({ ...bare, model_type: 'mistral' }, file))
      .toMatchObject({ kvHeads: 8, maxPositions: 131072, slidingWindow: 4096 });
    expect(parseConfig({ ...bare, model_type: 'qwen2' }, file)).toMatchObject({ maxPositions: 32768, headDim: 64 });
    expect(parseConfig({ ...bare, model_type: 'qwen3' }, file)).toMatchObject({ maxPositions: 32768, headDim: 128 });
  });

  it('has a sliding window in every layer of Mistral, unless it is null', () => {
    expect(of('mistral', { sliding_window: 8 })).toMatchObject({ slidingWindow: 8, slides: [true, true, true, true] });
    expect(of('llama', { sliding_window: 8 }).slidingWindow).toBeUndefined();
  });

  it('has a sliding window in those layers of Mistral alone that are said to, as in Ministral', () => {
    const layer_types = ['full_attention', 'sliding_attention', 'full_attention', 'sliding_attention'];
    expect(of('mistral', { sliding_window: 8, layer_types })).toMatchObject({ slides: [false, true, false, true] });
  });

  it('has a sliding window in the layers of Qwen that say so, if it is used at all', () => {
    const window = { use_sliding_window: true, sliding_window: 8 };
    expect(of('qwen2', { ...window, max_window_layers: 3 })).toMatchObject({ slides: [false, false, false, true] });
    const layer_types = ['full_attention', 'sliding_attention', 'full_attention', 'full_attention'];
    expect(of('qwen3', { ...window, layer_types })).toMatchObject({ slides: [false, true, false, false] });
    for (const change of [
      { ...window, use_sliding_window: false, max_window_layers: 0 },
      { ...window, sliding_window: null, max_window_layers: 0 },
      { ...window, max_window_layers: 4 },
    ]) expect(of('qwen2', change).slides).toBeUndefined();
  });

  it('has the biases and the norms of its own', () => {
    expect(of('qwen2').biases).toEqual(['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']);
    expect(of('qwen2').headNorms).toBeUndefined();
    expect(of('qwen3').biases).toBeUndefined();
    expect(of('qwen3').headNorms).toBe(true);
    expect(of('qwen3', { attention_bias: true }).biases).toHaveLength(4);
  });
});

describe('a config.json is refused in one sentence that names the file', () => {
  it.each([
    ['another architecture', { model_type: 'gpt2' }, '«gpt2»'],
    ['another architecture, by any name', { model_type: 'toString' }, '«toString»'],
    ['a rotation of another kind', { rope_scaling: { rope_type: 'longrope', factor: 8 } }, '«longrope»'],
    ['a rotation of another kind, as older files name it', { rope_scaling: { type: 'su' } }, '«su»'],
    ['a rotation of another kind, as newer files name it', { rope_parameters: { rope_type: 'proportional' } }, '«proportional»'],
    ['a rotation of a part of each head', { rope_parameters: { partial_rotary_factor: 0.5 } }, 'partial_rotary_factor'],
    ['a rotation without its factor', { rope_scaling: { type: 'linear' } }, '«factor»'],
    ['a rotation whose bounds are no range', {
      rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 },
    }, '«high_freq_factor»'],
    ['another activation', { hidden_act: 'gelu' }, 'gelu'],
    ['layers of another kind', { layer_types: ['linear_attention'] }, 'layer_types'],
    ['kinds of more layers than there are', { layer_types: ['full_attention'] }, 'layer_types nombra 1'],
    ['heads that do not divide', { num_key_value_heads: 5 }, 'num_key_value_heads (5)'],
    ['no layers', { num_hidden_layers: 0 }, '«num_hidden_layers» es 0 y se esperaba un entero mayor que 0'],
    ['too many layers', { num_hidden_layers: 1001 }, '«num_hidden_layers» es 1001 y se esperaban 1000 como mucho'],
    ['a size that is missing', { hidden_size: undefined }, 'falta «hidden_size» y se esperaba un entero mayor que 0'],
    ['a size that is no number', { vocab_size: '32000' }, '«vocab_size» es «32000» y se esperaba un entero'],
  ])('for %s', (_what, change, says) => {
    expect(userErrorOf(() => parseConfig({ ...tinyLlama, ...change }, file), file)).toContain(says);
  });

  it.each([[[]], ['llama'], [null], [{}]])('for being %o', (json) => {
    userErrorOf(() => parseConfig(json, file), file);
  });
});

describe('the weights of a model', () => {
  it('are named and shaped as checkpoints have them', () => {
    const shapes = weightShapes(tinyConfig);
    expect(shapes.size).toBe(1 + 2 * 9 + 1);
    expect(shapes.get('model.embed_tokens.weight')).toEqual([13, 8]);
    expect(shapes.get('model.layers.1.self_attn.k_proj.weight')).toEqual([4, 8]);
    expect(shapes.get('model.layers.1.mlp.down_proj.weight')).toEqual([8, 12]);
    expect(shapes.has('lm_head.weight')).toBe(false);
    expect(weightShapes({ ...tinyConfig, tiedHead: false }).get('lm_head.weight')).toEqual([13, 8]);
  });

  it('include the biases and the norms of heads', () => {
    const { size } = weightShapes(tinyConfig);
    const shapes = weightShapes({ ...tinyConfig, biases: ['self_attn.k_proj', 'mlp.up_proj'], headNorms: true });
    expect(shapes.size).toBe(size + 2 * 4);
    expect(shapes.get('model.layers.1.self_attn.k_proj.bias')).toEqual([4]);
    expect(shapes.get('model.layers.0.mlp.up_proj.bias')).toEqual([12]);
    expect(shapes.get('model.layers.0.self_attn.q_norm.weight')).toEqual([2]);
    expect(shapes.get('model.layers.0.self_attn.k_norm.weight')).toEqual([2]);
  });

  it('are kept in 4 bits only when they are linear layers of a block', () => {
    const config: LlamaConfig = { ...tinyConfig, tiedHead: false, biases: linearNames, headNorms: true };
    const narrow = [...weightShapes(config).keys()].filter(isLinear);
    expect(narrow).toHaveLength(2 * 7);
    expect(narrow.join()).not.toMatch(/norm|embed|lm_head|bias/);
  });
});
