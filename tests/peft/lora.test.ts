import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { weightShapes } from '../../src/model/config.ts';
import type { LlamaConfig } from '../../src/model/config.ts';
import { LlamaModel, logits } from '../../src/model/llama.ts';
import type { Weight } from '../../src/model/weights.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { LoraOptions } from '../../src/peft/lora.ts';
import { trainableParameters } from '../../src/peft/trainable.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { userErrorOf } from '../temporary.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';

beforeAll(() => useBackend('cpu'));

const ids = Int32Array.of(0, 3, 4, 5, 6, 7);
const answersOf = (model: LlamaModel) => tf.tidy(() => logits(model, ids, 1).dataSync());
const paths = (options: Partial<LoraOptions>) => [...new Set(addLora(tinyBase(), options).parameters
  .map(({ name }) => name.replace(/\.lora_[AB]\.weight$/, '')))];

describe('LoRA', () => {
  it('puts A (r, in) and B (out, r) beside every linear layer, named as PEFT names them', () => {
    const shapes = new Map(addLora(tinyBase(), { r: 3 }).parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes.size).toBe(2 * 7 * tinyConfig.layers);
    expect(shapes.get('model.layers.0.self_attn.k_proj.lora_A.weight')).toEqual([3, 8]);
    expect(shapes.get('model.layers.0.self_attn.k_proj.lora_B.weight')).toEqual([4, 3]);
    expect(shapes.get('model.layers.1.mlp.down_proj.lora_A.weight')).toEqual([3, 12]);
    expect(shapes.get('model.layers.1.mlp.down_proj.lora_B.weight')).toEqual([8, 3]);
  });

  it('begins with A uniform within ±1/√in and B zero: the answers are the base\'s, to the bit', () => {
    const base = tinyBase();
    const before = answersOf(base);
    const { parameters } = addLora(base, { r: 64 });
    expect(answersOf(base)).toEqual(before);
    for (const { name, shape, values } of parameters) {
      if (name.includes('lora_B')) {
        expect(values.every((value) => value === 0), name).toBe(true);
        continue;
      }
      const bound = 1 / Math.sqrt(shape[1]!);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      expect(Math.max(...values.map(Math.abs)), name).toBeLessThanOrEqual(bound);
      expect(Math.abs(mean), name).toBeLessThan(0.15 * bound);
      expect(square / (bound ** 2 / 3), name).toBeCloseTo(1, 0); // a uniform's variance
    }
  });

  it('draws A from its seed, other for every layer', () => {
    const values = (seed: number) => addLora(tinyBase(), { seed }).parameters.map(({ values }) => values);
    expect(values(1)).toEqual(values(1));
    expect(values(1)[0]).not.toEqual(values(2)[0]);
    const [first, , second] = values(1);
    expect(first).not.toEqual(second);
  });

  it('adds (alpha / r) · B A x to W x, and drops nothing outside training', () => {
    const { r, alpha } = { r: 2, alpha: 6 };
    const { adapter, parameters } = addLora(tinyBase(), { r, alpha, dropout: 0.5, targetModules: ['q_proj'] });
    const random = new Random(5);
    for (const parameter of parameters) {
      parameter.values.forEach((_, i) => (parameter.values[i] = random.normal()));
      parameter.upload();
    }
    const [a, b] = parameters as [typeof parameters[number], typeof parameters[number]];
    const x = Array.from({ length: 8 }, () => random.normal());
    const y = tf.tidy(() => [...adapter.apply(
      'model.layers.0.self_attn.q_proj', tf.tensor2d([x]), (x) => x.mul(10), { training: false, seed: 1 }).dataSync()]);
    const low = Array.from({ length: r }, (_, k) => x.reduce((sum, value, i) => sum + a.values[k * 8 + i]! * value, 0));
    x.forEach((value, o) => {
      const up = low.reduce((sum, value, k) => sum + b.values[o * r + k]! * value, 0);
      expect(y[o]).toBeCloseTo(10 * value + alpha / r * up, 3);
    });
  });

  it('leaves alone a layer that is no target', () => {
    const { adapter } = addLora(tinyBase(), { targetModules: ['q_proj'] });
    const x = tf.ones([1, 8]) as tf.Tensor2D;
    const y = tf.tidy(() => adapter.apply('model.layers.0.mlp.up_proj', x, (x) => x.mul(3), { training: true, seed: 1 }));
    expect([...y.dataSync()]).toEqual(Array(8).fill(3));
  });
});

describe('the target modules', () => {
  it('are every linear layer but the head, or those named, in every block', () => {
    expect(paths({})).toHaveLength(14);
    expect(paths({}).join()).not.toMatch(/lm_head|embed|norm/);
    expect(paths({ targetModules: ['q_proj', 'v_proj'] })).toEqual([
      'model.layers.0.self_attn.q_proj', 'model.layers.0.self_attn.v_proj',
      'model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.v_proj',
    ]);
    expect(paths({ targetModules: ['down_proj'] })).toEqual(
      ['model.layers.0.mlp.down_proj', 'model.layers.1.mlp.down_proj']);
  });
});

describe('options that make no sense are refused by the name of their flag', () => {
  it.each([
    [{ r: 0 }, '--r', '0'],
    [{ r: 1.5 }, '--r', '1.5'],
    [{ dropout: 1 }, '--dropout', '1'],
    [{ dropout: NaN }, '--dropout', 'NaN'],
    [{ targetModules: [] }, '--target-modules', 'vacía'],
  ])('%o', (options, flag, found) => {
    expect(userErrorOf(() => addLora(tinyBase(), options), flag)).toContain(found);
  });

  it('an unknown module, with the known ones', () => {
    const base = tinyBase();
    const message = userErrorOf(() => addLora(base, { targetModules: ['q_proj', 'query'] }), '--target-modules');
    expect(message).toContain('«query»');
    expect(message).toContain('q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj');
    expect(base.adapter).toBeUndefined();
  });
});

describe('the trainable parameters', () => {
  // Shapes of the published config.json files.
  const common = { maxPositions: 2048, rmsNormEps: 1e-5, ropeTheta: 10000 };
  const smol: LlamaConfig = {
    ...common, vocabSize: 49152, hiddenSize: 576, intermediateSize: 1536, layers: 30, heads: 9, kvHeads: 3, headDim: 64,
    tiedHead: true,
  };
  const tinyLlama: LlamaConfig = {
    ...common, vocabSize: 32000, hiddenSize: 2048, intermediateSize: 5632, layers: 22, heads: 32, kvHeads: 4,
    headDim: 64, tiedHead: false,
  };
  const llama7b: LlamaConfig = {
    ...common, vocabSize: 32000, hiddenSize: 4096, intermediateSize: 11008, layers: 32, heads: 32, kvHeads: 32,
    headDim: 128, tiedHead: false,
  };

  /** A model of that shape that holds no weights: enough to count by. */
  function hollow(config: LlamaConfig): LlamaModel {
    const weights = [...weightShapes(config)].map(([name, shape]) => [name, { shape } as unknown as Weight] as const);
    return new LlamaModel(config, new Map(weights));
  }

  // Figures that PEFT 0.21.0 printed for these bases.
  it.each([
    ['SmolLM2-135M', smol, 'all-linear', 'trainable params: 4,884,480 || all params: 139,399,488 || trainable%: 3.5039'],
    ['SmolLM2-135M', smol, ['q_proj', 'v_proj'],
      'trainable params: 921,600 || all params: 135,436,608 || trainable%: 0.6805'],
    ['TinyLlama-1.1B', tinyLlama, 'all-linear',
      'trainable params: 12,615,680 || all params: 1,112,664,064 || trainable%: 1.1338'],
    ['Llama-2-7B', llama7b, 'all-linear',
      'trainable params: 39,976,960 || all params: 6,778,392,576 || trainable%: 0.5898'],
    ['Llama-2-7B', llama7b, ['q_proj', 'v_proj'],
      'trainable params: 8,388,608 || all params: 6,746,804,224 || trainable%: 0.1243'],
  ] as const)('of a %s with r = 16 are the line that PEFT prints', { timeout: 60_000 }, (_name, config, targetModules, line) => {
    const count = trainableParameters(addLora(hollow(config), { r: 16, targetModules }));
    expect(count.line).toBe(line);
    expect(count.percent).toBeCloseTo(100 * count.trainable / count.all, 10);
  });

  it('of a whole model are all of it', () => {
    const shapes = [...weightShapes(tinyConfig)];
    const weights = shapes.map(([name, shape]) => [name, { name, shape } as unknown as Weight] as const);
    const base = new LlamaModel(tinyConfig, new Map(weights));
    const { trainable, all, percent } = trainableParameters({ base, parameters: [...base.weights.values()] as never });
    expect([trainable, percent]).toEqual([all, 100]);
  });
});
