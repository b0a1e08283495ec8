import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { inference, logits } from '../../src/model/llama.ts';
import type { LlamaModel, Pass } from '../../src/model/llama.ts';
import { addAdaLora } from '../../src/peft/adalora.ts';
import type { AdaLoraOptions } from '../../src/peft/adalora.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { dropout } from '../../src/tensor/dropout.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { userErrorOf } from '../temporary.ts';
import { tinyBase } from '../tiny.ts';

beforeAll(() => useBackend(testBackend('cpu')));

const answersOf = (model: LlamaModel) => valuesOf(() => logits(model, Int32Array.of(0, 3, 4, 5), 1));

describe('AdaLoRA', () => {
  it('has A, E and B of each layer, half as wide again as the rank it ends with, under the names of PEFT', () => {
    const shapes = new Map(addAdaLora(tinyBase(), { r: 3 }).parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes.size).toBe(3 * 7 * 2);
    expect(shapes.get('model.layers.1.mlp.down_proj.lora_A')).toEqual([5, 12]);
    expect(shapes.get('model.layers.1.mlp.down_proj.lora_E')).toEqual([5, 1]);
    expect(shapes.get('model.layers.1.mlp.down_proj.lora_B')).toEqual([8, 5]);
    expect(addAdaLora(tinyBase(), { r: 3, initR: 8 }).parameters[0]!.shape).toEqual([8, 8]);
  });

  it('begins with E zero, and A and B of deviation 0.02: the answers are the base\'s, to the bit', () => {
    const base = tinyBase();
    const plain = answersOf(base);
    const { parameters } = addAdaLora(base, { r: 64 });
    expect(answersOf(base)).toEqual(plain);
    for (const part of ['A', 'B']) {
      const values = parameters.filter(({ name }) => name.endsWith(`.lora_${part}`)).flatMap(({ values }) => [...values]);
      expect(Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)).toBeCloseTo(0.02, 3);
    }
  });

  it('adds B · E · A · x, scaled by alpha over the initial rank, and merges to that', () => {
    const { adapter, parameters } = addAdaLora(
      tinyBase(), { r: 2, initR: 3, alpha: 6, dropout: 0.5, targetModules: ['q_proj'] });
    const random = new Random(2);
    for (const parameter of parameters) {
      parameter.values.forEach((_, i) => (parameter.values[i] = random.normal()));
      parameter.upload();
    }
    const [a, e, b] = parameters.map(({ values }) => values);
    const path = 'model.layers.0.self_attn.q_proj';
    const x = Array.from({ length: 8 }, (_, i) => Math.sin(i));
    const expected = Array.from({ length: 8 }, (_, row) => [0, 1, 2].reduce((sum, i) =>
      sum + b![row * 3 + i]! * e![i]! * x.reduce((dot, value, j) => dot + a![i * 8 + j]! * value, 0), 0)
      * 6 / (3 + 1e-5));
    const change = tf.tidy(() => {
      const zero = (x: tf.Tensor2D) => tf.zeros<tf.Rank.R2>([x.shape[0], 8]);
      return [...adapter.apply(path, tf.tensor2d([x]), zero, inference).dataSync()];
    });
    change.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
    const merged = tf.tidy(() => {
      const w = tinyBase().weight(`${path}.weight`).tensor();
      return [...tf.matMul(adapter.merged(path).sub<tf.Tensor2D>(w), tf.tensor2d(x, [8, 1])).dataSync()];
    });
    merged.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 3));
  });

  it('drops out what the triplets are given of the input in training, and nothing of what the base is given', () => {
    const { adapter, parameters } = addAdaLora(tinyBase(), { r: 2, alpha: 6, dropout: 0.5, targetModules: ['q_proj'] });
    for (const parameter of parameters) {
      parameter.values.fill(0.5);
      parameter.upload();
    }
    const [path, seed] = ['model.layers.0.self_attn.q_proj', 11];
    const x = tf.tensor2d([Array.from({ length: 8 }, (_, i) => Math.sin(i + 1))]);
    const ofBase = (x: tf.Tensor2D) => x.mul<tf.Tensor2D>(100);
    const applied = (pass: Pass) => tf.tidy(() => [...adapter.apply(path, x, ofBase, pass).sub(ofBase(x)).dataSync()]);
    const kept = tf.tidy(() => dropout(x, 0.5, seed, path).sum().dataSync()[0]!);
    const whole = x.sum().dataSync()[0]!;
    expect(kept).not.toBeCloseTo(whole, 1);
    const scaled = (sum: number) => 3 * 0.5 ** 3 * sum * 6 / (3 + 1e-5); // three triplets at the beginning
    for (const value of applied({ training: true, seed })) expect(value).toBeCloseTo(scaled(kept), 3);
    for (const value of applied(inference)) expect(value).toBeCloseTo(scaled(whole), 3);
  });

  it('has present the triplets that are kept, learnt or not, and those dropped that say something all the same', () => {
    const { adapter, parameters } = addAdaLora(tinyBase(), { r: 3, initR: 4, targetModules: ['q_proj'] });
    const path = 'model.layers.0.self_attn.q_proj';
    parameters.find(({ name }) => name === `${path}.lora_E`)!.values.set([0, 2, 0, 3]);
    adapter.masks.get(path)!.set([1, 1, 0, 0]);
    expect(adapter.present.get(path)).toEqual([true, true, false, true]);
    expect(adapter.present.get('model.layers.1.self_attn.q_proj')).toEqual([true, true, true, true]);
  });

  it.each<[Partial<AdaLoraOptions>, string]>([
    [{ r: 0 }, '--r'],
    [{ r: 4, initR: 4 }, '--init-r'],
    [{ alpha: -1 }, '--alpha'],
    [{ dropout: 1 }, '--dropout'],
    [{ deltaT: 0 }, '--delta-t'],
    [{ tinit: -1 }, '--tinit'],
    [{ tfinal: 1.5 }, '--tfinal'],
    [{ beta1: 1 }, '--beta1'],
    [{ beta2: 0 }, '--beta2'],
    [{ orthRegWeight: -0.1 }, '--orth-reg-weight'],
    [{ targetModules: ['c_attn'] }, '--target-modules'],
  ])('refuses %o by the name of its option', (options, flag) => {
    userErrorOf(() => addAdaLora(tinyBase(), options), flag);
  });
});
