import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { float32Of, readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { parseConfig } from '../../src/model/config.ts';
import { inference, LlamaModel, logits } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { AdaLora, adaLoraShapes } from '../../src/peft/adalora.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { ia3Shapes } from '../../src/peft/ia3.ts';
import type { Ia3 } from '../../src/peft/ia3.ts';
import { Lora, loraShapes } from '../../src/peft/lora.ts';
import { countParameters, trainableParameters } from '../../src/peft/trainable.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { testBackend, testBackends } from '../backend.ts';
import { temporaryFolder } from '../temporary.ts';

/** Adapters that PEFT 0.21.0 saved, and what it computes with them: see `make.py` beside them. */
const golden = join(import.meta.dirname, '../golden/adapters');
const kinds = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'base').map(({ name }) => name);
/** What PEFT loads of an AdaLoRA whose ranks have been cut is no longer what was trained. */
const trained = kinds.filter((kind) => kind !== 'adalora-ranked');
const at = temporaryFolder();

function baseOf(kind: string): LlamaModel {
  const base = loadModel(join(golden, 'base'));
  if (!kind.startsWith('tied')) return base;
  const file = join(golden, 'tied.json');
  const weights = [...base.weights].filter(([name]) => name !== 'lm_head.weight');
  return new LlamaModel(parseConfig(JSON.parse(readFileSync(file, 'utf8')), file), new Map(weights));
}

function referenceOf(kind: string) {
  const file = readSafetensors(join(golden, kind, 'reference.safetensors'));
  const [batchSize, seqLength] = file.entry('ids').shape as [number, number];
  const integers = (name: string) => new Int32Array(file.bytes(name).buffer as ArrayBuffer);
  const labels = integers('labels');
  // There a label stands at its own token, here at the one that predicts it.
  const shifted = labels.map((_, i) => ((i + 1) % seqLength === 0 ? -100 : labels[i + 1]!));
  return {
    count: () => integers('count'),
    logits: float32Of(file, 'logits'),
    loss: () => float32Of(file, 'loss')[0]!,
    gradients: new Map(file.names().filter((name) => name.startsWith('gradient.')).map((name) =>
      [name.replace('gradient.base_model.model.', ''), float32Of(file, name)])),
    batch: {
      tokens: integers('ids'), labels: shifted, lengths: Array<number>(batchSize).fill(seqLength), batchSize, seqLength,
    },
  };
}

const norm = (values: Float32Array) => Math.hypot(...values);
const largest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
const logitsOf = (model: LlamaModel, tokens: Int32Array, batch: number) =>
  valuesOf(() => logits(model, tokens, batch));

it('there is an adapter of every kind', () => {
  expect(kinds).toEqual(expect.arrayContaining([
    'lora', 'rslora', 'dora', 'patterns', 'regex', 'saved', 'adalora', 'adalora-ranked', 'ia3', 'ia3-regex',
  ]));
});

describe.each(testBackends('cpu', 'wasm'))('on %s, an adapter saved by PEFT', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(kinds)('%s gives the logits that PEFT gives', (kind) => {
    const { logits, batch } = referenceOf(kind);
    const base = baseOf(kind);
    const plain = logitsOf(base, batch.tokens, batch.batchSize);
    loadAdapter(base, join(golden, kind));
    const ours = logitsOf(base, batch.tokens, batch.batchSize);
    expect(largest(plain, logits)).toBeGreaterThan(0.1); // the adapter is needed
    expect(largest(ours, logits)).toBeLessThan(1e-5);
  });

  it.each(trained)('%s has the loss and the gradients that PyTorch gives it', async (kind) => {
    const { loss, gradients, batch } = referenceOf(kind);
    const model = loadAdapter(baseOf(kind), join(golden, kind));
    expect(model.parameters.map(({ name }) => name).sort()).toEqual([...gradients.keys()].sort());
    const scale = 1 / batch.labels.filter((label) => label >= 0).length;
    for (const checkpointing of [true, false]) {
      const pass = { ...inference, training: true };
      const found = await lossAndGradients(model, batch, { pass, scale, checkpointing });
      expect(found.loss).toBeCloseTo(loss(), 5);
      const penalty = model.hooks?.penalty?.();
      found.gradients.forEach((gradient, i) => {
        const expected = gradients.get(model.parameters[i]!.name)!;
        const difference = gradient.dataSync<'float32'>().map((value, j) =>
          value + (penalty?.[i]![j] ?? 0) - expected[j]!);
        expect(norm(difference) / norm(expected), model.parameters[i]!.name).toBeLessThan(1e-5);
      });
      tf.dispose(found.gradients);
    }
  });
});

describe('an adapter saved by PEFT', () => {
  beforeAll(() => useBackend(testBackend('cpu')));

  it.each(kinds)('%s, loaded and saved, is the same adapter', (kind) => {
    const { batch } = referenceOf(kind);
    const model = loadAdapter(baseOf(kind), join(golden, kind));
    saveAdapter(model, at(kind), { baseModel: 'base' });
    const [theirs, ours] = [golden, at()].map((folder) => readSafetensors(join(folder, kind, 'adapter_model.safetensors')));
    expect(ours!.names().sort()).toEqual(theirs!.names().sort());
    for (const name of ours!.names()) expect(ours!.float32(name)).toEqual(theirs!.float32(name));
    const again = loadAdapter(baseOf(kind), at(kind)).base;
    expect(logitsOf(again, batch.tokens, batch.batchSize)).toEqual(logitsOf(model.base, batch.tokens, batch.batchSize));
  });

  it.each(trained)('%s has as many parameters as PEFT counts, and as its configuration alone does', (kind) => {
    const { base, adapter, parameters } = loadAdapter(baseOf(kind), join(golden, kind));
    const count = trainableParameters({ base, parameters });
    expect([count.trainable, count.all]).toEqual([...referenceOf(kind).count()]);
    const shapes = adapter instanceof Lora ? loraShapes(base.config, adapter.options)
      : adapter instanceof AdaLora ? adaLoraShapes(base.config, adapter.options)
        : ia3Shapes(base.config, (adapter as Ia3).options);
    expect(countParameters(base.config, shapes)).toEqual(count);
  });
});
