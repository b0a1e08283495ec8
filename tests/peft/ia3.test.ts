import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { weightShapes } from '../../src/model/config.ts';
import { LlamaModel, logits } from '../../src/model/llama.ts';
import { DenseWeight } from '../../src/model/weights.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addIa3 } from '../../src/peft/ia3.ts';
import type { Ia3Options } from '../../src/peft/ia3.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyConfig } from '../tiny.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const at = temporaryFolder();

const answersOf = (model: LlamaModel) => valuesOf(() => logits(model, Int32Array.of(0, 3, 4, 5), 1));
const ramp = (length: number) => Float32Array.from({ length }, (_, i) => 0.5 + i / 10);

describe('IA³', () => {
  it('has a vector beside keys, values and the inner activations, of ones: the answers are the base\'s, to the bit', () => {
    const base = tinyBase();
    const plain = answersOf(base);
    const { parameters } = addIa3(base);
    expect(parameters.slice(0, 3).map(({ name, shape }) => [name, shape])).toEqual([
      ['model.layers.0.self_attn.k_proj.ia3_l', [4, 1]],
      ['model.layers.0.self_attn.v_proj.ia3_l', [4, 1]],
      ['model.layers.0.mlp.down_proj.ia3_l', [1, 12]],
    ]);
    expect(parameters).toHaveLength(6);
    expect(answersOf(base)).toEqual(plain);
  });

  it('multiplies the input of a feed-forward module and the output of the others; merges to the same', () => {
    const { adapter, parameters } = addIa3(tinyBase(), { targetModules: ['k_proj', 'down_proj'] });
    for (const parameter of parameters) {
      parameter.values.set(ramp(parameter.values.length));
      parameter.upload();
    }
    for (const [path, inputs, scaled] of [
      ['model.layers.0.self_attn.k_proj', 8, 'output'], ['model.layers.1.mlp.down_proj', 12, 'input'],
      ['model.layers.0.self_attn.q_proj', 8, 'nothing'],
    ] as const) {
      const { found, expected, merged } = tf.tidy(() => {
        const x = tf.tensor2d(Array.from({ length: inputs }, (_, i) => Math.cos(i)), [1, inputs]);
        const w = tinyBase().weight(`${path}.weight`).tensor() as tf.Tensor2D;
        const base = (x: tf.Tensor2D): tf.Tensor2D => tf.matMul(x, w, false, true);
        const expected = scaled === 'input' ? base(x.mul(ramp(inputs)))
          : scaled === 'output' ? base(x).mul(ramp(w.shape[0])) : base(x);
        return {
          found: adapter.apply(path, x, base).arraySync(), expected: expected.arraySync(),
          merged: scaled === 'nothing' ? expected.arraySync() : tf.matMul(x, adapter.merged(path), false, true).arraySync(),
        };
      });
      found.flat().forEach((value, i) => expect(value).toBeCloseTo((expected as number[][]).flat()[i]!, 5));
      (merged as number[][]).flat().forEach((value, i) => expect(value).toBeCloseTo(found.flat()[i]!, 5));
    }
  });

  it('multiplies a bias with the output, and leaves a feed-forward module\'s alone', () => {
    const biased = { ...tinyConfig, attentionBias: true };
    const base = new LlamaModel(biased, new Map([...tinyBase().weights,
      ['model.layers.0.self_attn.k_proj.bias', new DenseWeight(ramp(4), [4])] as const]));
    expect([...weightShapes(tinyConfig).keys()].length).toBeLessThan(base.weights.size);
    const { adapter, parameters } = addIa3(base);
    parameters[0]!.values.fill(2);
    parameters[2]!.values.fill(3);
    tf.tidy(() => {
      const bias = tf.tensor1d([1, 2, 3, 4]);
      expect([...adapter.bias('model.layers.0.self_attn.k_proj', bias).dataSync()]).toEqual([2, 4, 6, 8]);
      expect(adapter.bias('model.layers.0.mlp.down_proj', bias)).toBe(bias);
      expect(adapter.bias('model.layers.0.self_attn.q_proj', bias)).toBe(bias);
    });
    // Keys twice as long, bias and all, sharpen the attention as much as queries twice as long.
    const double = (name: string) => new LlamaModel(biased, new Map([...base.weights].map(([key, weight]) =>
      [key, key.startsWith(name) ? new DenseWeight(weight.tensor().dataSync<'float32'>().map((v) => 2 * v), weight.shape) : weight])));
    parameters[2]!.values.fill(1);
    parameters.forEach((parameter) => parameter.upload());
    const expected = answersOf(double('model.layers.0.self_attn.k_proj.'));
    answersOf(base).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
  });

  it('learns nothing of a module that is not there', () => {
    userErrorOf(() => addIa3(tinyBase(), { targetModules: ['key'] }), '--target-modules');
  });

  it.each<[string, Partial<Ia3Options>]>([
    ['by the ends of names', { targetModules: ['mlp.down_proj', 'k_proj'] }],
    ['by whole names', { targetModules: ['model.layers.0.self_attn.v_proj', 'model.layers.1.mlp.down_proj'] }],
    ['by a name of which only some are', { targetModules: ['down_proj', 'k_proj'], feedforwardModules: ['model.layers.1.mlp.down_proj'] }],
    ['none', { targetModules: ['k_proj', 'v_proj'] }],
  ])('is saved with its feed-forward modules, %s, as a part of its modules: so PEFT wants it', (_how, options) => {
    const folder = at('adapter');
    const model = addIa3(tinyBase(), options);
    for (const parameter of model.parameters) {
      parameter.values.set(ramp(parameter.values.length));
      parameter.upload();
    }
    const answers = answersOf(model.base);
    saveAdapter(model, folder, { baseModel: 'x' });
    const config = JSON.parse(readFileSync(`${folder}/adapter_config.json`, 'utf8')) as Record<string, string[]>;
    expect(config['target_modules']).toEqual(expect.arrayContaining(config['feedforward_modules']!));
    const again = tinyBase();
    loadAdapter(again, folder);
    expect(answersOf(again)).toEqual(answers);
  });
});
