import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { baseSize, loadModel } from '../../src/model/load.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import { dequantize, quantize } from '../../src/quant/quantize.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();
const folder = () => at('model');
const file = () => at('model', 'model.safetensors');
beforeEach(() => writeSmallModel(folder()));

const query = 'model.layers.0.self_attn.q_proj.weight';

describe('a model', () => {
  it('is loaded wide, or with the linear layers of its blocks in 4 bits', () => {
    const saved = readSafetensors(file());
    const wide = loadModel(folder());
    const narrow = loadModel(folder(), { loadIn4bit: true });
    for (const name of saved.names()) {
      expect(wide.weight(name).tensor().dataSync(), name).toEqual(saved.float32(name));
      const isNarrow = narrow.weight(name) instanceof QuantizedWeight;
      expect(isNarrow, name).toBe(name.includes('_proj'));
      if (!isNarrow) expect(narrow.weight(name).tensor().dataSync(), name).toEqual(saved.float32(name));
    }
    const kept = quantize(saved.float32(query), [64, 64], { quantType: 'nf4', doubleQuant: true });
    expect(tf.tidy(() => narrow.weight(query).tensor().dataSync())).toEqual(dequantize(kept));
    wide.dispose();
    narrow.dispose();
  });

  it('frees everything when it is disposed of', () => {
    const before = tf.memory().numTensors;
    const model = loadModel(folder(), { loadIn4bit: true });
    expect(tf.memory().numTensors).toBe(before + 2 + 2 * smallConfig.layers); // embedding and norms
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('weighs what its bytes weigh', () => {
    const model = loadModel(folder(), { loadIn4bit: true });
    const size = baseSize(model);
    const linear = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128);
    const wide = 4096 * 64 + (2 * 2 + 1) * 64;
    expect(size.parameters).toBe(linear + wide);
    expect(size.bytes16).toBe(2 * (linear + wide));
    expect(size.linearBytes16).toBe(2 * linear);
    expect(size.bytes).toBe(size.linearBytes + 4 * wide);
    expect(size.bytes).toBe(model.bytes);
    // 4 + 8/64 bits a weight, and the second level's scales and offsets, which weigh more in small matrices.
    expect(size.bitsPerParameter).toBe(8 * size.linearBytes / linear);
    expect(size.bitsPerParameter).toBeGreaterThan(4.125);
    expect(size.bitsPerParameter).toBeLessThan(4.15);
    const single = baseSize(loadModel(folder(), { loadIn4bit: true, doubleQuant: false }));
    expect(single.bitsPerParameter).toBe(4.5);
  });

  it('saved in 4 bits by bitsandbytes is taken as it is', () => {
    const model = loadModel(join(import.meta.dirname, '../golden/bnb-4bit-tiny'));
    expect(baseSize(model).linearBytes).toBeGreaterThan(0);
    expect(model.weight(query)).toBeInstanceOf(QuantizedWeight);
  });
});

describe('a model whose files do not agree is refused in one sentence', () => {
  function change(change: (tensors: Record<string, TensorData>) => void): void {
    const saved = readSafetensors(file());
    const tensors = Object.fromEntries(saved.names().map((name) =>
      [name, { ...saved.entry(name), data: saved.bytes(name) }]));
    change(tensors);
    writeSafetensors(file(), tensors, saved.metadata);
  }

  it('for a weight that is missing', () => {
    change((tensors) => { delete tensors[query]; });
    expect(userErrorOf(() => loadModel(folder()), folder())).toContain(`«${query}»`);
  });

  it('for a weight of another shape', () => {
    change((tensors) => { tensors[query] = { ...tensors[query]!, shape: [32, 128] }; });
    const message = userErrorOf(() => loadModel(folder()), folder());
    expect(message).toContain(`«${query}» mide 32×128`);
    expect(message).toContain('64×64');
  });
});
