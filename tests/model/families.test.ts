import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeBatch } from '../../src/data/batches.ts';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { generate } from '../../src/model/generate.ts';
import { inference, LlamaModel, logits } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { Parameter } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { testBackend, testBackends } from '../backend.ts';

/** Each a tiny random model in a folder written by transformers; golden/families/make.py tells how they differ. */
const families = ['llama2', 'llama3', 'linear', 'dynamic', 'biased', 'mistral', 'qwen2', 'qwen3', 'yarn'];
const lengths = [24, 17];
const promptLengths = [13, 17];
const newTokens = 16;

const folderOf = (family: string) => join(import.meta.dirname, '../golden/families', family);

function reference(family: string) {
  const file = readSafetensors(join(folderOf(family), 'reference.safetensors'));
  const ints = (name: string) => new Int32Array(new Uint8Array(file.bytes(name)).buffer);
  const rows = (name: string) => [0, 1].map((row) => [...ints(name).subarray(row * newTokens, (row + 1) * newTokens)]);
  const ids = ints('ids'); // (2, 24)
  const prompts = promptLengths.map((length, row) => [...ids.subarray(row * 24, row * 24 + length)]);
  return {
    ids, prompts, logits: file.float32('logits'), gradient: file.float32('gradient'),
    alone: rows('alone'), together: rows('together'),
  };
}

/** The largest difference of two texts' logits; what stands at padding is nobody's. */
function difference(ours: Float32Array, theirs: Float32Array): number {
  const vocabulary = theirs.length / 48;
  return lengths.reduce((worst, length, row) => {
    for (let i = row * 24 * vocabulary; i < (row * 24 + length) * vocabulary; i++) {
      worst = Math.max(worst, Math.abs(ours[i]! - theirs[i]!));
    }
    return worst;
  }, 0);
}

describe('what tells the families apart', () => {
  beforeAll(() => useBackend(testBackend('cpu')));

  it.each([
    ['llama3', { ropeScaling: undefined }],
    ['linear', { ropeScaling: undefined }],
    ['dynamic', { ropeScaling: undefined }],
    ['yarn', { ropeScaling: undefined }],
    ['mistral', { slidingWindow: 8 }], // for 7
    ['qwen2', { slides: [true, true] }], // for [false, true]
    ['qwen3', { headNorms: false }],
  ])('tells in the logits: %s would not pass with %o', (family, change) => {
    const expected = reference(family);
    const { config, weights } = loadModel(folderOf(family));
    const other = new LlamaModel({ ...config, ...change }, weights);
    const ours = valuesOf(() => logits(other, expected.ids, 2));
    other.dispose();
    expect(difference(ours, expected.logits)).toBeGreaterThan(1e-2);
  });
});

describe.each(testBackends('cpu', 'wasm'))('on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(families)('%s gives the logits of transformers', (family) => {
    const expected = reference(family);
    const model = loadModel(folderOf(family));
    const ours = valuesOf(() => logits(model, expected.ids, 2)); // (2·24, vocab)
    model.dispose();
    expect(ours).toHaveLength(expected.logits.length);
    const worst = difference(ours, expected.logits);
    expect(worst).toBeLessThan(1e-4);
  });

  it.each(families)('%s gives the gradient of PyTorch', async (family) => {
    const { ids, gradient } = reference(family);
    const model = loadModel(folderOf(family));
    const name = 'model.layers.0.self_attn.k_proj.weight';
    const { shape } = model.weight(name);
    const trained = new Parameter(name, model.weight(name).tensor().dataSync<'float32'>().slice(), shape);
    const base = new LlamaModel(model.config, new Map(model.weights).set(name, trained));
    const batch = makeBatch(lengths.map((length, row) => ({
      tokens: ids.slice(row * 24, row * 24 + length), promptLength: 1, record: { instruction: '', input: '', output: '' },
    })), 0);
    const { gradients } = await lossAndGradients({ base, parameters: [trained] }, batch, {
      pass: inference, scale: 1 / (23 + 16), checkpointing: true,
    });
    const ours = gradients[0]!.dataSync<'float32'>();
    const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const worst = gradient.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i]!)), 0);
    expect(worst / largest).toBeLessThan(1e-4);
    tf.dispose(gradients);
    model.dispose();
    trained.dispose();
  });

  it.each(families)('%s continues prompts as transformers does, each alone and both in a batch', async (family) => {
    const { prompts, alone, together } = reference(family);
    const model = loadModel(folderOf(family));
    const before = tf.memory().numTensors;
    const options = { maxNewTokens: newTokens, eosIds: [] };
    expect(await generate(model, prompts, { ...options, batchSize: 1 })).toEqual(alone);
    expect(await generate(model, prompts, options)).toEqual(together);
    expect(tf.memory().numTensors).toBe(before);
    model.dispose();
  });
});
