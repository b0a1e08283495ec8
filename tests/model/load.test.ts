import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { writeQuantized } from '../../src/checkpoint/bitsandbytes.ts';
import type { DenseTensor } from '../../src/checkpoint/folder.ts';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { baseSize, loadModel, quantizeWeight } from '../../src/model/load.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { DenseWeight, QuantizedWeight } from '../../src/model/weights.ts';
import { dequantize, quantize } from '../../src/quant/quantize.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const at = temporaryFolder();
const folder = () => at('model');
const file = () => at('model', 'model.safetensors');
beforeEach(() => writeSmallModel(folder()));

const query = 'model.layers.0.self_attn.q_proj.weight';
const embedding = 'model.embed_tokens.weight';

type Tensors = Record<string, TensorData>;

/** The folder's weights, rewritten. */
function change(rewrite: (tensors: Tensors) => Tensors | void): void {
  const saved = readSafetensors(file());
  const tensors = Object.fromEntries(saved.names().map((name) =>
    [name, { ...saved.entry(name), data: saved.bytes(name) }]));
  writeSafetensors(file(), rewrite(tensors) ?? tensors, saved.metadata);
}

function changeConfig(fields: object): void {
  const config = at('model', 'config.json');
  writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')) as object, ...fields }));
}

/** What a weight holds, as bytes: quick to compare. */
function held(model: LlamaModel, name: string): Buffer {
  return bytes(valuesOf(() => model.weight(name).tensor()));
}

function bytes(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
}

describe('a model', () => {
  it('is loaded wide, or with the linear layers of its blocks in 4 bits', () => {
    const saved = readSafetensors(file());
    const wide = loadModel(folder());
    const narrow = loadModel(folder(), { loadIn4bit: true });
    for (const name of saved.names()) {
      const values = saved.float32(name);
      expect(held(wide, name).equals(bytes(values)), name).toBe(true);
      const isNarrow = narrow.weight(name) instanceof QuantizedWeight;
      expect(isNarrow, name).toBe(name.includes('_proj'));
      const kept = isNarrow ? dequantize(quantize(values, saved.entry(name).shape)) : values;
      expect(held(narrow, name).equals(bytes(kept)), name).toBe(true);
    }
    wide.dispose();
    narrow.dispose();
  });

  it('frees everything when it is disposed of', () => {
    const before = tf.memory().numTensors;
    const model = loadModel(folder(), { loadIn4bit: true });
    const packed = tf.getBackend() === 'tensorflow' ? 6 * 7 * smallConfig.layers : 0; // matrices that TensorFlow holds
    expect(tf.memory().numTensors).toBe(before + 2 + 2 * smallConfig.layers + packed); // embedding and norms
    model.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('weighs what its bytes weigh', () => {
    const model = loadModel(folder(), { loadIn4bit: true });
    const size = baseSize(model);
    const linear = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128);
    const [embedding, norms] = [4096 * 64, (2 * 2 + 1) * 64];
    const wide = embedding + norms;
    expect(size.parameters).toBe(linear + wide);
    expect(size.bytes16).toBe(2 * (linear + wide));
    expect(size.linearBytes16).toBe(2 * linear);
    // The checkpoint is in bfloat16, in which native TensorFlow holds a matrix.
    expect(size.bytes).toBe(size.linearBytes + (tf.getBackend() === 'tensorflow' ? 2 : 4) * embedding + 4 * norms);
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

describe('a checkpoint of another make', () => {
  it('may have its weights in F32, F16 and BF16, mixed', () => {
    const before = loadModel(folder());
    change((tensors) => {
      const saved = readSafetensors(file());
      tensors[query] = { dtype: 'F32', shape: [64, 64], data: saved.float32(query) };
      const norm = 'model.norm.weight'; // ones
      tensors[norm] = { dtype: 'F16', shape: [64], data: new Uint16Array(64).fill(0x3c00) };
    });
    const after = loadModel(folder());
    for (const name of before.weights.keys()) expect(held(after, name).equals(held(before, name)), name).toBe(true);
  });

  it('may have a head of its own', () => {
    writeSmallModel(folder(), { ...smallConfig, tiedHead: false });
    const model = loadModel(folder());
    expect(model.config.tiedHead).toBe(false);
    expect(held(model, 'lm_head.weight').equals(held(model, embedding))).toBe(false);
  });

  it('may hold a tied head a second time', () => {
    change((tensors) => { tensors['lm_head.weight'] = tensors[embedding]!; });
    const model = loadModel(folder());
    expect(model.config.tiedHead).toBe(true);
    expect(model.weights.has('lm_head.weight')).toBe(false);
  });

  it('may call a head tied and hold another: it counts, as in transformers', () => {
    change((tensors) => {
      const data = Uint8Array.from(tensors[embedding]!.data as Uint8Array);
      data[data.length - 1]! ^= 0x80; // the sign of the last value
      tensors['lm_head.weight'] = { ...tensors[embedding]!, data };
    });
    const model = loadModel(folder());
    expect(model.config.tiedHead).toBe(false);
    expect(held(model, 'lm_head.weight').equals(held(model, embedding))).toBe(false);
  });

  it('may be of the decoder alone, its names without «model.», its head tied', () => {
    const before = loadModel(folder());
    change((tensors) => Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name.replace('model.', ''), tensor])));
    const after = loadModel(folder(), { loadIn4bit: false });
    for (const name of before.weights.keys()) expect(held(after, name).equals(held(before, name)), name).toBe(true);
  });

  it('may have been quantised by bitsandbytes but for some modules: these stay wide', () => {
    const values = readSafetensors(file()).float32(query);
    const gate = 'model.layers.0.mlp.gate_proj.weight';
    change((tensors) => {
      const { [query]: _, ...others } = tensors;
      const tensor = quantize(values, [64, 64], { quantType: 'fp4', blockSize: 128 });
      return { ...others, ...writeQuantized(query, { tensor, dtype: 'bfloat16' }) };
    });
    changeConfig({ quantization_config: { load_in_4bit: true, llm_int8_skip_modules: ['lm_head', 'model.layers.0.mlp'] } });
    const model = loadModel(folder(), { loadIn4bit: true });
    expect((model.weight(query) as QuantizedWeight).quantized).toMatchObject({ quantType: 'fp4', blockSize: 128 });
    expect(model.weight(gate)).toBeInstanceOf(DenseWeight);
  });

  it.each([
    [{ quant_method: 'gptq', bits: 4 }, '«gptq»'],
    [{ quant_method: 'bitsandbytes', load_in_8bit: true, load_in_4bit: false }, '8 bits'],
    [{ quant_method: 'bitsandbytes', load_in_4bit: 'yes' }, 'quantization_config.load_in_4bit'],
    ['nf4', 'quantization_config'],
  ])('is refused when quantised in another way: %j', (quantization, says) => {
    changeConfig({ quantization_config: quantization });
    expect(userErrorOf(() => loadModel(folder()), at('model', 'config.json'))).toContain(says);
  });
});

describe('a model whose files do not agree is refused in one sentence', () => {
  it('for a weight that is missing', () => {
    change((tensors) => { delete tensors[query]; });
    expect(userErrorOf(() => loadModel(folder()), folder())).toContain(`«${query}»`);
  });

  it('for layers that config.json does not count, in whole models and in decoders without a head', () => {
    change((tensors) => { tensors[query.replace('.0.', '.10.')] = tensors[query]!; });
    const says = `num_hidden_layers es ${smallConfig.layers} y los pesos tienen 11 capas`;
    expect(userErrorOf(() => loadModel(folder()), folder())).toContain(says);
    change((tensors) => Object.fromEntries(
      Object.entries(tensors).map(([name, tensor]) => [name.replace(/^model\./, ''), tensor])));
    expect(userErrorOf(() => loadModel(folder()), folder())).toContain(says);
  });

  it('but not for what a layer holds besides, as old exports have their rotary frequencies', () => {
    change((tensors) => { tensors['model.layers.0.self_attn.rotary_emb.inv_freq'] = tensors['model.norm.weight']!; });
    expect(loadModel(folder()).config.layers).toBe(smallConfig.layers);
  });

  it('for a weight of another shape', () => {
    change((tensors) => { tensors[query] = { ...tensors[query]!, shape: [32, 128] }; });
    const message = userErrorOf(() => loadModel(folder()), folder());
    expect(message).toContain(`«${query}» mide 32×128`);
    expect(message).toContain('64×64');
  });

  it.each([[false, query], [true, query], [true, embedding]])('for a value that is no number, in 4 bits (%s) or not, in %s', (loadIn4bit, name) => {
    change((tensors) => { (tensors[name]!.data as Uint8Array).fill(0xff, 10, 12); });
    expect(userErrorOf(() => loadModel(folder(), { loadIn4bit }), folder())).toContain(`«${name}»`);
  });

  it('but not for a memory with no room left', () => {
    const full = new RangeError('Array buffer allocation failed');
    const weight = { dtype: 'F32', shape: [64, 64], pieces: () => { throw full; } } as unknown as DenseTensor;
    expect(() => quantizeWeight(weight, query, folder(), {})).toThrow(full);
  });
});
