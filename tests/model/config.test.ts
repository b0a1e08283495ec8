import { describe, expect, it } from 'vitest';
import { isLinear, parseConfig, toHuggingFace, weightShapes } from '../../src/model/config.ts';
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

  it('of our own is read back as it was', () => {
    expect(parseConfig(toHuggingFace(tinyConfig, { bosId: 0, eosId: 1, padId: 2 }), file)).toEqual(tinyConfig);
  });
});

describe('a config.json is refused in one sentence that names the file', () => {
  it.each([
    ['another architecture', { model_type: 'gpt2' }, '«gpt2»'],
    ['a rotation of another kind', { rope_scaling: { rope_type: 'llama3', factor: 8 } }, 'llama3'],
    ['a rotation of another kind, as older files name it', { rope_scaling: { type: 'linear' } }, 'linear'],
    ['a rotation of another kind, as newer files name it', { rope_parameters: { rope_type: 'yarn' } }, 'yarn'],
    ['another activation', { hidden_act: 'gelu' }, 'gelu'],
    ['biases in attention', { attention_bias: true }, 'attention_bias'],
    ['biases in the feed-forward', { mlp_bias: true }, 'mlp_bias'],
    ['heads that do not divide', { num_key_value_heads: 5 }, 'num_key_value_heads (5)'],
    ['no layers', { num_hidden_layers: 0 }, 'num_hidden_layers'],
    ['a size that is missing', { hidden_size: undefined }, 'hidden_size'],
    ['a size that is no number', { vocab_size: '32000' }, 'vocab_size'],
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

  it('are kept in 4 bits only when they are linear layers of a block', () => {
    const narrow = [...weightShapes({ ...tinyConfig, tiedHead: false }).keys()].filter(isLinear);
    expect(narrow).toHaveLength(2 * 7);
    expect(narrow.join()).not.toMatch(/norm|embed|lm_head/);
  });
});
