import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { inference, logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Lora, LoraOptions } from '../../src/peft/lora.ts';
import { addAdapter } from '../../src/peft/methods.ts';
import { addRouter, Router } from '../../src/peft/router.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyBatch } from '../tiny.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();
const batch = tinyBatch();

function learnt(seed: number, options: Partial<LoraOptions> = {}): Lora {
  const { adapter } = addLora(tinyBase(), { r: 2, alpha: 4, dropout: 0, ...options });
  fill(adapter, seed);
  return adapter;
}

function fill({ parameters }: Pick<Lora | Router, 'parameters'>, seed: number): void {
  const random = new Random(seed);
  for (const parameter of parameters) {
    parameter.values.forEach((_, i) => (parameter.values[i] = 0.3 * random.normal()));
    parameter.upload();
  }
}

function routed() {
  const model = addRouter(tinyBase(), [learnt(1), learnt(2, { r: 1, useRslora: true }), learnt(3, { targetModules: ['q_proj'] })]);
  fill(model.adapter, 4);
  return model;
}

const logitsOf = (model: LlamaModel) => tf.tidy(() => [...logits(model, batch.tokens, 2).dataSync()]);

describe('a router', () => {
  it('weighs each token\'s adapters by a softmax of its gate', () => {
    const { base, adapter } = routed();
    tf.tidy(() => {
      for (const path of ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj']) {
        const x = tf.randomNormal([5, adapter.parameters.find(({ name }) => name.startsWith(path))!.shape[1]!], 0, 1, 'float32', 3) as Tensor2D;
        const gate = adapter.parameters.find(({ name }) => name === `${path}.router.weight`)!.tensor() as Tensor2D;
        const weights = tf.matMul(x, gate, false, true).softmax(); // (rows, experts)
        let expected = base.weight(`${path}.weight`).linear(x);
        adapter.experts.forEach((expert, e) => {
          const factors = expert.factors(path);
          if (!factors) return;
          const [a, b] = [factors.a.tensor() as Tensor2D, factors.b.tensor() as Tensor2D];
          const update = tf.matMul(tf.matMul(x, a, false, true), b, false, true).mul(factors.scaling);
          expected = expected.add(update.mul(weights.slice([0, e], [5, 1])));
        });
        const ours = adapter.apply(path, x, (x) => base.weight(`${path}.weight`).linear(x));
        expect(ours.sub(expected).abs().max().dataSync()[0]).toBeLessThan(1e-5);
      }
    });
  });

  it('tells its weights, which sum to 1; at first all alike', () => {
    const { base, adapter } = routed();
    const told = new Map<string, Float32Array>();
    adapter.observer = (path, weights) => told.set(path, weights);
    logitsOf(base);
    expect([...told.keys()].sort()).toEqual([...adapter.targets].sort());
    for (const weights of told.values()) {
      expect(weights.length).toBe(batch.tokens.length * 3);
      for (let row = 0; row < batch.tokens.length; row++) {
        expect(weights.subarray(3 * row, 3 * row + 3).reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      }
    }
    const fresh = addRouter(tinyBase(), adapter.experts);
    fresh.adapter.observer = (_, weights) => weights.forEach((weight) => expect(weight).toBeCloseTo(1 / 3, 6));
    logitsOf(fresh.base);
  });

  it.each([true, false])('learns by its gates alone, whose gradients differences confirm; recomputing: %s', async (checkpointing) => {
    const model = routed();
    expect(model.parameters.every(({ name }) => name.endsWith('.router.weight'))).toBe(true);
    const lossOf = async () => {
      const { loss, gradients } = await lossAndGradients(model, batch, {
        pass: inference, scale: 1 / 6, checkpointing,
      });
      const values = gradients.map((gradient) => gradient.dataSync<'float32'>().slice());
      tf.dispose(gradients);
      return { loss, values };
    };
    const { values } = await lossOf();
    const random = new Random(8);
    for (const p of [0, 5, 9, 13]) {
      const parameter = model.parameters[p]!;
      const i = random.below(parameter.values.length);
      const lossAt = async (offset: number) => {
        const value = parameter.values[i]!;
        parameter.values[i] = value + offset;
        parameter.upload();
        const { loss } = await lossOf();
        parameter.values[i] = value;
        parameter.upload();
        return loss;
      };
      expect((await lossAt(5e-3) - await lossAt(-5e-3)) / 1e-2, parameter.name).toBeCloseTo(values[p]![i]!, 3);
    }
  });

  it('is saved with its adapters below it, each a PEFT folder, and read back', () => {
    const model = routed();
    saveAdapter(model, at('router'), { baseModel: 'tiny' });
    expect(existsSync(at('router', 'adapters', '2', 'adapter_model.safetensors'))).toBe(true);
    const again = loadAdapter(tinyBase(), at('router'));
    expect(again.adapter).toBeInstanceOf(Router);
    const expected = logitsOf(model.base);
    logitsOf(again.base).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
    expect(() => loadAdapter(tinyBase(), at('router', 'adapters', '0'))).not.toThrow();
    userErrorOf(() => again.adapter.merged('model.layers.0.self_attn.q_proj'), '--combine');
  });

  it('is put over folders by its name, two or more', () => {
    saveAdapter({ adapter: learnt(1) }, at('one'), { baseModel: 'tiny' });
    saveAdapter({ adapter: learnt(2) }, at('two'), { baseModel: 'tiny' });
    const { adapter } = addAdapter(tinyBase(), { method: 'router', adapters: [at('one'), at('two')] });
    expect((adapter as Router).experts.length).toBe(2);
    userErrorOf(() => addAdapter(tinyBase(), { method: 'router', adapters: [at('one')] }), '--adapter');
    userErrorOf(() => addAdapter(tinyBase(), { method: 'router', adapters: [at('one'), at('router')] }), 'ROUTER');
  });
});
