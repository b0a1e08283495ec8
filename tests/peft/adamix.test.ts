import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { addAdaMix } from '../../src/peft/adamix.ts';
import type { AdaMix } from '../../src/peft/adamix.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { dropout } from '../../src/tensor/dropout.ts';
import { crossEntropy } from '../../src/tensor/ops.ts';
import { consistentLossAndGradients } from '../../src/train/consistency.ts';
import { answerLogits, lossAndGradients } from '../../src/train/gradients.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyBatch } from '../tiny.ts';
import { plusUpdate } from '../../src/tensor/linear.ts';
import type { Update } from '../../src/tensor/linear.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();
const batch = tinyBatch();
const pass = { training: true, seed: 7 };
const path = 'model.layers.0.self_attn.q_proj';

function mixed(options = {}): PeftModel<AdaMix> {
  const model = addAdaMix(tinyBase(), { r: 2, alpha: 4, dropout: 0, experts: 3, ...options });
  const random = new Random(5);
  for (const parameter of model.parameters) {
    parameter.values.forEach((_, i) => (parameter.values[i] = 0.3 * random.normal()));
    parameter.upload();
  }
  return model;
}

const logitsOf = (model: LlamaModel) => tf.tidy(() => [...logits(model, batch.tokens, 2).dataSync()]);

/** What a layer makes of some input in one pass, less what the base makes of it. */
function updateOf({ adapter, base }: PeftModel<AdaMix>, seed: number, layerPath = path): number[] {
  return tf.tidy(() => {
    const x = tf.eye(8) as Tensor2D;
    const frozen = (x: Tensor2D) => base.weight(`${layerPath}.weight`).linear(x);
    const layer = (x: Tensor2D, update?: Update) => (update ? plusUpdate(frozen(x), update) : frozen(x));
    return [...adapter.apply(layerPath, x, layer, { training: true, seed }).sub(frozen(x)).dataSync()];
  });
}

describe('AdaMix', () => {
  it('draws one A and one B a layer, each by itself, the same for the same seed', () => {
    const model = mixed();
    const factors = (letter: string) => [0, 1, 2].map((m) => {
      const { values, shape } = model.parameters.find(({ name }) => name === `${path}.lora_${letter}.${m}.weight`)!;
      return tf.tensor2d(values, shape as [number, number]);
    });
    const [as, bs] = [factors('A'), factors('B')];
    const pairs = as.flatMap((a) => bs.map((b) => [...tf.matMul(b, a).mul(2).transpose().dataSync()]));
    const drawn = Array.from({ length: 120 }, (_, seed) => {
      const update = updateOf(model, seed);
      return pairs.findIndex((pair) => pair.every((value, i) => Math.abs(value - update[i]!) < 1e-5));
    });
    for (let pair = 0; pair < 9; pair++) {
      const share = drawn.filter((one) => one === pair).length / drawn.length;
      expect(share).toBeGreaterThan(0.03);
      expect(share).toBeLessThan(0.25);
    }
    expect(drawn).not.toContain(-1);
    expect(updateOf(model, 3)).toEqual(updateOf(model, 3));
  });

  it('draws for each layer by itself', () => {
    const model = mixed();
    const [path, other] = ['q_proj', 'o_proj'].map((name) => `model.layers.0.self_attn.${name}`) as [string, string];
    for (const { name, values } of model.parameters) { // of each A nothing but its number, the same in both layers
      const [, letter, m] = /lora_([AB])\.(\d)/.exec(name)!;
      values.fill(letter === 'A' ? Number(m) + 1 : 1);
    }
    model.parameters.forEach((parameter) => parameter.upload());
    const together = Array.from({ length: 60 }, (_, seed) =>
      updateOf(model, seed, path)[0] === updateOf(model, seed, other)[0]).filter(Boolean).length;
    expect(together / 60).toBeGreaterThan(0.1);
    expect(together / 60).toBeLessThan(0.6);
  });

  it('drops out what the adapter is given of the input in training', () => {
    const model = mixed({ experts: 1, dropout: 0.5 });
    const zeros = (values: number[]) => Array.from({ length: 8 }, (_, row) =>
      values.slice(row * 8, row * 8 + 8).every((value) => value === 0));
    const kept = tf.tidy(() => [...dropout(tf.eye(8) as Tensor2D, 0.5, 4, path).sum(1).dataSync()]);
    expect(new Set(kept)).toEqual(new Set([0, 2]));
    expect(zeros(updateOf(model, 4))).toEqual(kept.map((sum) => sum === 0));
  });

  it('answers, when it does not train, as LoRA with the average of the As and that of the Bs', () => {
    const model = mixed();
    const lora = addLora(tinyBase(), { r: 2, alpha: 4 });
    for (const parameter of lora.parameters) {
      const parts = [0, 1, 2].map((m) => model.parameters.find(({ name }) =>
        name === parameter.name.replace(/\.weight$/, `.${m}.weight`))!.values);
      parameter.values.forEach((_, i) => (parameter.values[i] = parts.reduce((sum, part) => sum + part[i]!, 0) / 3));
      parameter.upload();
    }
    const expected = logitsOf(lora.base);
    logitsOf(model.base).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
    // And follows them when they change.
    const before = logitsOf(model.base);
    model.parameters[0]!.values.fill(1);
    model.parameters[0]!.upload();
    expect(logitsOf(model.base)).not.toEqual(before);
  });

  it('is saved as that LoRA: a plain PEFT folder', () => {
    const model = mixed();
    saveAdapter(model, at('adamix'), { baseModel: 'tiny' });
    const { base, parameters } = loadAdapter(tinyBase(), at('adamix'));
    expect(parameters.length).toBe(model.parameters.length / 3);
    expect(logitsOf(base)).toEqual(logitsOf(model.base));
  });

  it('begins as its base', () => {
    const expected = logitsOf(tinyBase());
    expect(logitsOf(addAdaMix(tinyBase(), { r: 2 }).base)).toEqual(expected);
    userErrorOf(() => addAdaMix(tinyBase(), { experts: 0 }), '--experts');
  });
});

describe('a batch by two draws', () => {
  /** ½ (KL(p‖q) + KL(q‖p)) and the first draw's cross-entropy, by the letter. */
  function dense(model: PeftModel<AdaMix>, frozenP?: number[][], frozenQ?: number[][]) {
    const other = { ...pass, seed: Random.for(pass.seed, 'other draw').uint32() };
    return tf.tidy(() => {
      const [first, second] = [pass, other].map((pass) => answerLogits(model.base, batch, pass));
      const [p, q] = [first!.logSoftmax<Tensor2D>(), second!.logSoftmax<Tensor2D>()];
      const kl = (target: Tensor2D, of: Tensor2D) => target.exp().mul(target.sub(of)).sum().dataSync()[0]!;
      const [constantP, constantQ] = [frozenP ? tf.tensor2d(frozenP) : p, frozenQ ? tf.tensor2d(frozenQ) : q];
      const labels = tf.tensor1d([...batch.labels].filter((label) => label >= 0), 'int32');
      const loss = crossEntropy(first!, labels, 1 / 6).dataSync()[0]! + (kl(constantP, q) + kl(constantQ, p)) / 12;
      return { loss, p: p.arraySync(), q: q.arraySync() };
    });
  }

  it.each([true, false])('has the loss and the gradients of AdaMix, recomputing: %s', async (checkpointing) => {
    const model = mixed();
    const { loss, gradients } = await consistentLossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing });
    const { loss: expected, p, q } = dense(model);
    expect(loss).toBeCloseTo(expected, 5);
    const plain = await lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing });
    expect(loss).toBeGreaterThan(plain.loss + 1e-3);
    let none = 0;
    const random = new Random(9);
    model.parameters.forEach((parameter, at) => {
      const gradient = gradients[at]!.dataSync();
      if (gradient.every((value) => value === 0)) {
        none++;
        return;
      }
      if (random.uniform() > 0.2) return;
      const i = random.below(gradient.length);
      const lossAt = (offset: number) => {
        const value = parameter.values[i]!;
        parameter.values[i] = value + offset;
        parameter.upload();
        const { loss } = dense(model, p, q); // targets as they were: nothing is learnt through them
        parameter.values[i] = value;
        parameter.upload();
        return loss;
      };
      expect((lossAt(2e-3) - lossAt(-2e-3)) / 4e-3, parameter.name).toBeCloseTo(gradient[i]!, 3);
    });
    expect(none).toBeGreaterThan(0); // what neither pass drew
    expect(none).toBeLessThan(model.parameters.length / 2 + 1);
  });

  it('leaves no tensor behind', async () => {
    const model = mixed();
    const options = { pass, scale: 1, checkpointing: true };
    const run = async () => tf.dispose((await consistentLossAndGradients(model, batch, options)).gradients);
    await run();
    const before = tf.memory().numTensors;
    await run();
    expect(tf.memory().numTensors).toBe(before);
  });
});
