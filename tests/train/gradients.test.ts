import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { DenseWeight } from '../../src/model/weights.ts';
import type { Parameter } from '../../src/model/weights.ts';
import { LlamaModel } from '../../src/model/llama.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Trainable } from '../../src/peft/trainable.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { newModel } from '../../src/train/pretrain.ts';
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

function loraModel(): Trainable {
  const { base } = fullModel();
  const frozen = new LlamaModel(tinyConfig, new Map([...base.weights].map(([name, weight]) =>
    [name, new DenseWeight((weight as Parameter).values, weight.shape)])));
  const model = addLora(frozen, { r: 2, alpha: 4, dropout: 0.25 });
  shake(model.parameters, 0.3);
  return model;
}

function lossAt(model: Trainable): number {
  const { loss, gradients } = lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing: true });
  tf.dispose(gradients);
  return loss;
}

/** The largest |gradient − central difference| over a few elements of every parameter, and the largest gradient. */
function compareWithDifferences(model: Trainable): { worst: number; largest: number } {
  const { gradients } = lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing: true });
  const values = gradients.map((gradient) => gradient.dataSync().slice());
  tf.dispose(gradients);
  const step = 2e-3;
  let worst = 0;
  let largest = 0;
  model.parameters.forEach((parameter, p) => {
    const chosen = Random.for(1, parameter.name).shuffle([...parameter.values.keys()]).slice(0, 4);
    for (const i of chosen) {
      const at = (offset: number) => {
        const kept = parameter.values[i]!;
        parameter.values[i] = kept + offset;
        parameter.upload();
        const loss = lossAt(model);
        parameter.values[i] = kept;
        parameter.upload();
        return loss;
      };
      const difference = (at(step) - at(-step)) / (2 * step);
      worst = Math.max(worst, Math.abs(difference - values[p]![i]!));
      largest = Math.max(largest, Math.abs(values[p]![i]!));
    }
  });
  return { worst, largest };
}

describe.each(['cpu', 'wasm'] as const)('gradients on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('of every LoRA matrix agree with finite differences, dropout on', () => {
    const { worst, largest } = compareWithDifferences(loraModel());
    expect(largest).toBeGreaterThan(0.02);
    expect(worst).toBeLessThan(2e-3 * Math.max(1, largest));
  });

  it.each([true, false])('of every weight in full fine-tuning agree with finite differences (tied head: %s)', (tied) => {
    const { worst, largest } = compareWithDifferences(fullModel(tied));
    expect(largest).toBeGreaterThan(0.02);
    expect(worst).toBeLessThan(2e-3 * Math.max(1, largest));
  });

  it.each([['LoRA', loraModel], ['full', fullModel]] as const)('checkpointed equal plain ones (%s)', (_name, make) => {
    const model = make();
    const [a, b] = [true, false].map((checkpointing) =>
      lossAndGradients(model, batch, { pass, scale: 1 / 6, checkpointing }));
    expect(a!.loss).toBeCloseTo(b!.loss, 6);
    a!.gradients.forEach((gradient, i) => {
      const [x, y] = [gradient.dataSync(), b!.gradients[i]!.dataSync()];
      x.forEach((value, j) => expect(Math.abs(value - y[j]!)).toBeLessThan(1e-6));
    });
    expect(a!.checkpointBytes).toBe(tinyConfig.layers * batch.tokens.length * tinyConfig.hiddenSize * 4);
    expect(b!.checkpointBytes).toBe(0);
    tf.dispose([...a!.gradients, ...b!.gradients]);
  });

  it('leave no tensor behind', () => {
    const model = loraModel();
    lossAt(model);
    const before = tf.memory().numTensors;
    lossAt(model);
    lossAt(model);
    expect(tf.memory().numTensors).toBe(before);
  });
});
