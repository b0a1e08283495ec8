import { describe, expect, it } from 'vitest';
import { isSplit, splitConfig, splitWeight } from '../../src/distributed/tensor-parallel.ts';
import { linearNames, weightShapes } from '../../src/model/config.ts';
import { tinyConfig } from '../tiny.ts';
import { UserError } from '../../src/errors.ts';

const counted = (length: number) => Float32Array.from({ length }, (_, i) => i);

describe('tensor parallel', () => {
  it('splits q, k, v, gate and up by their outputs, o and down by their inputs, and nothing else', () => {
    const rows = splitWeight('model.layers.0.self_attn.q_proj.weight', counted(8), [4, 2], 2, 1);
    expect([[...rows.values], rows.shape]).toEqual([[4, 5, 6, 7], [2, 2]]);
    const columns = splitWeight('model.layers.0.mlp.down_proj.weight', counted(8), [2, 4], 2, 1);
    expect([[...columns.values], columns.shape]).toEqual([[2, 3, 6, 7], [2, 2]]);
    const bias = splitWeight('model.layers.0.self_attn.k_proj.bias', counted(4), [4], 2, 0);
    expect([[...bias.values], bias.shape]).toEqual([[0, 1], [2]]);
    for (const whole of ['model.embed_tokens.weight', 'model.norm.weight', 'model.layers.0.input_layernorm.weight', 'model.layers.0.self_attn.o_proj.bias']) {
      expect(isSplit(whole), whole).toBe(false);
    }
    expect(linearNames.every((name) => isSplit(`model.layers.0.${name}.weight`))).toBe(true);
  });

  it('gives each rank the weights of a model with fewer heads and a narrower feed-forward', () => {
    const local = weightShapes(splitConfig(tinyConfig, 2));
    for (const [name, shape] of weightShapes(tinyConfig)) {
      const size = shape.reduce((a, b) => a * b, 1);
      expect(splitWeight(name, new Float32Array(size), shape, 2, 0).shape, name).toEqual(local.get(name));
    }
  });

  it('refuses ranks among which the heads cannot be shared out', () => {
    expect(() => splitConfig(tinyConfig, 4)).toThrow(UserError);
    expect(() => splitConfig({ ...tinyConfig, headNorms: true }, 2)).toThrow(/cabezas sin norma propia\.$/);
  });
});
