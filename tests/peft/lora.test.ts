import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { LoraOptions } from '../../src/peft/lora.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { dropout } from '../../src/tensor/dropout.ts';
import { testBackend } from '../backend.ts';
import { userErrorOf } from '../temporary.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';
import { plusUpdate } from '../../src/tensor/linear.ts';
import { valuesOf } from '../../src/tensor/read.ts';

beforeAll(() => useBackend(testBackend('cpu')));

const ids = Int32Array.of(0, 3, 4, 5, 6, 7);
const answersOf = (model: LlamaModel) => valuesOf(() => logits(model, ids, 1));
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
      'model.layers.0.self_attn.q_proj', tf.tensor2d([x]), (x, update) => plusUpdate(x.mul(10), update!),
      { training: false, seed: 1 }).dataSync()]);
    const low = Array.from({ length: r }, (_, k) => x.reduce((sum, value, i) => sum + a.values[k * 8 + i]! * value, 0));
    x.forEach((value, o) => {
      const up = low.reduce((sum, value, k) => sum + b.values[o * r + k]! * value, 0);
      expect(y[o]).toBeCloseTo(10 * value + alpha / r * up, 3);
    });
  });

  it('drops out in training what A is given of the input, and nothing of what W is given', () => {
    const { adapter, parameters } = addLora(tinyBase(), { r: 2, alpha: 6, dropout: 0.5, targetModules: ['q_proj'] });
    for (const parameter of parameters) {
      parameter.values.fill(0.5);
      parameter.upload();
    }
    const [path, seed] = ['model.layers.0.self_attn.q_proj', 11];
    const x = tf.tensor2d([Array.from({ length: 8 }, (_, i) => Math.sin(i + 1))]);
    const kept = tf.tidy(() => dropout(x, 0.5, seed, path).sum().dataSync()[0]!);
    expect(kept).not.toBeCloseTo(x.sum().dataSync()[0]!, 1);
    const y = tf.tidy(() => adapter.apply(
      path, x, (x, update) => plusUpdate(x.mul(10), update!), { training: true, seed }).sub(x.mul(10)).dataSync());
    for (const value of y) expect(value).toBeCloseTo(2 * 0.25 * kept * 6 / 2, 3);
  });

  it.each([[false, 4], [true, 16]])('scales by the rank that a layer has; with rsLoRA (%s) by its root', (useRslora, r) => {
    const { adapter } = addLora(tinyBase(), { r: 1, alpha: 8, useRslora, rankPattern: { q_proj: r } });
    expect(adapter.factors('model.layers.0.self_attn.q_proj')!.scaling).toBe(2);
    expect(adapter.factors('model.layers.0.self_attn.k_proj')!.scaling).toBe(8);
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
