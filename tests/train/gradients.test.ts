import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeBatch } from '../../src/data/batches.ts';
import { DenseWeight } from '../../src/model/weights.ts';
import type { Parameter } from '../../src/model/weights.ts';
import { causalPlacement, inference, LlamaModel } from '../../src/model/llama.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Trainable } from '../../src/peft/trainable.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { crossEntropy } from '../../src/tensor/ops.ts';
import { answerLogits, lossAndGradients } from '../../src/train/gradients.ts';
import { newModel } from '../../src/train/pretrain.ts';
import {
  referenceExamples, referenceModel, referenceOf, referenceSteps, relativeError,
} from '../golden/training/reference.ts';
import { testBackends } from '../backend.ts';
import { tinyBatch, tinyConfig } from '../tiny.ts';

const batch = tinyBatch();
const pass = { training: true, seed: 7 };

/** Weights far enough from 0 that every gradient is well above float32's noise. */
function shake(parameters: readonly Parameter[], sigma: number): void {
  const random = new Random(3);
  for (const parameter of parameters) {
    parameter.values.forEach((value, i) => (parameter.values[i] = value + sigma * random.normal()));
    parameter.upload();
  }
}

function fullModel(tiedHead = true): Trainable & { parameters: Parameter[] } {
  const model = newModel({ ...tinyConfig, tiedHead }, 1);
  shake(model.parameters, 0.4);
  return model;
}

function loraModel(dropout = 0.25): Trainable {
  const { base } = fullModel();
  const frozen = new LlamaModel(tinyConfig, new Map([...base.weights].map(([name, weight]) =>
    [name, new DenseWeight((weight as Parameter).values, weight.shape)])));
  const model = addLora(frozen, { r: 2, alpha: 4, dropout });
  shake(model.parameters, 0.3);
  return model;
}

/** The loss alone, by a plain forward pass. */
function lossAt({ base }: Trainable): number {
  const loss = tf.tidy(() => {
    const place = causalPlacement(base.config, batch.batchSize, batch.seqLength);
    let x = base.embed(tf.tensor1d(batch.tokens, 'int32'));
    for (let layer = 0; layer < base.config.layers; layer++) x = base.block(layer, x, place, pass);
    const rows = [...batch.labels.keys()].filter((row) => batch.labels[row]! >= 0);
    const labels = tf.tensor1d(rows.map((row) => batch.labels[row]!), 'int32');
    return crossEntropy(base.head(tf.gather(x, rows)), labels, 1 / 6);
  });
  const value = loss.dataSync()[0]!;
  loss.dispose();
  return value;
}

/** Of each parameter: the root mean squares of gradient − central difference, and of the gradient. */
async function compareWithDifferences(model: Trainable, elements: number) {
  const { gradients } = await lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing: true });
  const values = gradients.map((gradient) => gradient.dataSync().slice());
  tf.dispose(gradients);
  const step = 2e-3;
  return model.parameters.map((parameter, p) => {
    const chosen = Random.for(1, parameter.name).shuffle([...parameter.values.keys()]).slice(0, elements);
    const errors = chosen.map((i) => {
      const at = (offset: number) => {
        const kept = parameter.values[i]!;
        parameter.values[i] = kept + offset;
        parameter.upload();
        const loss = lossAt(model);
        parameter.values[i] = kept;
        parameter.upload();
        return loss;
      };
      return (at(step) - at(-step)) / (2 * step) - values[p]![i]!;
    });
    return { name: parameter.name, error: rootMeanSquare(errors), size: rootMeanSquare([...values[p]!]) };
  });
}

function rootMeanSquare(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

describe.each(testBackends('cpu', 'wasm'))('gradients on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  // Every element on cpu; there is no need to go through them all again on wasm.
  const elements = backend === 'cpu' ? Infinity : 3;

  it.each([
    ['every LoRA matrix, dropout on', () => loraModel()],
    ['every weight, the head tied', () => fullModel(true)],
    ['every weight, the head its own', () => fullModel(false)],
  ])('of %s agree with finite differences', { timeout: 120_000 }, async (_what, make) => {
    const model = make();
    const compared = await compareWithDifferences(model, elements);
    expect(compared).toHaveLength(model.parameters.length);
    for (const { name, error, size } of compared) {
      expect(size, name).toBeGreaterThan(0.02); // far from the noise of float32, 1e-4
      expect(error, name).toBeLessThan(4e-4 + size / 200);
    }
  });

  it.each([['LoRA', () => loraModel()], ['full', () => fullModel()]] as const)('checkpointed equal plain ones (%s)', async (_name, make) => {
    const model = make();
    const [a, b] = await Promise.all([true, false].map((checkpointing) =>
      lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing })));
    expect(a!.loss).toBeCloseTo(b!.loss, 6);
    a!.gradients.forEach((gradient, i) => {
      const [x, y] = [gradient.dataSync(), b!.gradients[i]!.dataSync()];
      x.forEach((value, j) => expect(Math.abs(value - y[j]!)).toBeLessThan(1e-6));
    });
    expect(a!.checkpointBytes).toBe(tinyConfig.layers * batch.tokens.length * tinyConfig.hiddenSize * 4);
    expect(b!.checkpointBytes).toBe(0);
    for (const segment of [2, 3]) { // of four blocks: two and two, or three and one
      const segmented = await lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing: true, segment });
      expect(segmented.checkpointBytes).toBe(a!.checkpointBytes / 2);
      segmented.gradients.forEach((gradient, i) => {
        const [x, y] = [gradient.dataSync(), b!.gradients[i]!.dataSync()];
        x.forEach((value, j) => expect(Math.abs(value - y[j]!)).toBeLessThan(1e-6));
      });
      tf.dispose(segmented.gradients);
    }
    tf.dispose([...a!.gradients, ...b!.gradients]);
  });

  it('are the same where the last block ends in the answers alone', async () => {
    const model = loraModel(0);
    const [every, ...answers] = await Promise.all([
      {}, { answersOnly: true }, { answersOnly: true, checkpointing: false }, { answersOnly: true, segment: 2 },
    ].map((how) => lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing: true, ...how })));
    for (const { loss, gradients } of answers) {
      expect(loss).toBeCloseTo(every!.loss, 5);
      gradients.forEach((gradient, i) => {
        expect(relativeError(gradient.dataSync<'float32'>(), every!.gradients[i]!.dataSync<'float32'>())).toBeLessThan(1e-5);
      });
      tf.dispose(gradients);
    }
    tf.dispose(every!.gradients);
    // What is predicted from them, and what is not: the rows before an answer are still attended to.
    const [some, all] = [true, false].map((answersOnly) =>
      tf.tidy(() => [...answerLogits(model.base, batch, inference, answersOnly).dataSync()]));
    some!.forEach((logit, i) => expect(logit).toBeCloseTo(all![i]!, 5));
  });

  it.each([
    ['LoRA', () => loraModel()], ['full, the head tied', () => fullModel(true)], ['full, the head its own', () => fullModel(false)],
  ])('leave no tensor behind (%s)', async (_name, make) => {
    const model = make();
    const step = async (checkpointing: boolean) =>
      tf.dispose((await lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing })).gradients);
    await step(true);
    const before = tf.memory().numTensors;
    await step(true);
    await step(false);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe.each(testBackends('cpu', 'wasm'))('the gradients of PyTorch and PEFT, on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each([true, false])('are those of every LoRA matrix (checkpointing %s)', async (checkpointing) => {
    const model = referenceModel();
    const reference = makeBatch(referenceExamples, 0);
    const answerTokens = reference.labels.filter((label) => label >= 0).length;
    const { loss, gradients } = await lossAndGradients(model, reference, {
      pass, scale: 1 / answerTokens, checkpointing,
    });
    expect(loss).toBeCloseTo(referenceSteps.losses[0]!, 5);
    expect(gradients).toHaveLength(28);
    model.parameters.forEach(({ name }, i) => {
      expect(relativeError(gradients[i]!.dataSync(), referenceOf('gradient', name)), name).toBeLessThan(1e-5);
    });
    tf.dispose(gradients);
  });
});
