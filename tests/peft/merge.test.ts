import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';
import { float32Of, readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { logits } from '../../src/model/llama.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import { logitsDifference, mergeAdapter, trainedModel } from '../../src/peft/merge.ts';
import type { MergeOptions, MergeResult } from '../../src/peft/merge.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend(testBackend('wasm')));
const at = temporaryFolder();
const golden = join(import.meta.dirname, '../golden');
const quant = { quantType: 'nf4', doubleQuant: true } as const;

/** The base of the golden adapters, as a whole folder. */
function baseOf(kind: string): string {
  const folder = at(`base-${kind}`);
  cpSync(join(golden, 'adapters/base'), folder, { recursive: true });
  writeFileSync(join(folder, 'tokenizer.json'), '{}');
  return folder;
}

function merge(base: string, adapter: string, output: string, options: Partial<MergeOptions> = {}): MergeResult {
  const merging = mergeAdapter(base, adapter, output, { quant, shardBytes: 5e9, ...options });
  let step = merging.next();
  while (!step.done) step = merging.next();
  return step.value;
}

const logitsOf = (model: LlamaModel, ids: Int32Array) => valuesOf(() => logits(model, ids, 1));
const largest = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe('an adapter merged into its base', () => {
  it.each(['lora', 'rslora', 'dora', 'rsdora', 'patterns', 'saved'])('gives, in bf16, the logits of PEFT with it: %s', (kind) => {
    const [base, output] = [baseOf(kind), at(`merged-${kind}`)];
    merge(base, join(golden, 'adapters', kind), output);
    const file = readSafetensors(join(golden, 'adapters', kind, 'reference.safetensors'));
    const ids = new Int32Array(file.bytes('ids').buffer as ArrayBuffer).subarray(0, 9);
    const expected = float32Of(file, 'logits').subarray(0, 9 * 24);
    const difference = largest(logitsOf(loadModel(output), ids), expected);
    expect(difference).toBeLessThan(0.15);
    expect(difference).toBeLessThan(0.2 * largest(logitsOf(loadModel(base), ids), expected));
  });

  it.each(['lora', 'dora', 'saved'])('is W + s·BA, in DoRA scaled row by row, rounded once: %s', (kind) => {
    const [base, output] = [baseOf(kind), at(`exact-${kind}`)];
    merge(base, join(golden, 'adapters', kind), output);
    const { adapter } = loadAdapter(loadModel(base), join(golden, 'adapters', kind));
    const saved = readSafetensors(join(output, 'model.safetensors'));
    const plain = readSafetensors(join(base, 'model.safetensors'));
    expect(saved.names().sort()).toEqual(plain.names().sort());
    for (const name of saved.names()) {
      const path = name.replace(/\.weight$/, '');
      expect(saved.entry(name)).toMatchObject({ dtype: 'BF16', shape: plain.entry(name).shape });
      const values = adapter.targets.has(path)
        ? valuesOf(() => adapter.merged(path))
        : adapter.saved.get(name)?.values ?? plain.float32(name);
      expect(new Uint16Array(saved.bytes(name).buffer as ArrayBuffer), name).toEqual(toBfloat16(values));
    }
  });

  it('is split in files of the size asked for, with the tokenizer beside them and the configuration\'s own text', () => {
    const [base, output] = [baseOf('shards'), at('shards')];
    const { shards, bytes, matrices, base: type } = merge(base, join(golden, 'adapters/lora'), output, { shardBytes: 10_000 });
    expect(shards).toBeGreaterThan(2);
    expect([matrices, type]).toEqual([14, 'F32']);
    const files = readdirSync(output);
    expect(files.filter((name) => name.endsWith('.safetensors'))).toHaveLength(shards);
    expect(files).toEqual(expect.arrayContaining(['config.json', 'model.safetensors.index.json', 'tokenizer.json']));
    const index = JSON.parse(readFileSync(join(output, 'model.safetensors.index.json'), 'utf8')) as { metadata: object };
    expect(index.metadata).toEqual({ total_size: bytes });
    const config = readFileSync(join(output, 'config.json'), 'utf8');
    expect(config).toContain('"rope_theta": 10000.0');
    expect(config).toContain('"dtype": "bfloat16"');
    loadModel(output);
  });

  it('says how far it moved the base, and how far the merge onto 4 bits would be', () => {
    const { update, weights } = merge(baseOf('gap'), join(golden, 'adapters/lora'), at('gap'));
    const model = loadAdapter(loadModel(baseOf('gap')), join(golden, 'adapters/lora'));
    let [sum, count, max] = [0, 0, 0];
    for (const path of model.adapter.targets) {
      tf.tidy(() => {
        const delta = model.adapter.merged(path).sub(model.base.weight(`${path}.weight`).tensor()).abs();
        sum += delta.sum().dataSync()[0]!;
        count += delta.size;
        max = Math.max(max, delta.max().dataSync()[0]!);
      });
    }
    expect(update.mean).toBeCloseTo(sum / count, 5);
    expect(update.max).toBeCloseTo(max, 5);
    // A Gaussian's NF4 is off by 0.073 σ on average; these weights have σ = 0.2.
    expect(weights!.mean).toBeGreaterThan(0.008);
    expect(weights!.mean).toBeLessThan(0.022);
  });

  it('is as far in its logits from what was trained in 4 bits as the two models are', () => {
    const [base, adapter, output] = [baseOf('logits'), join(golden, 'adapters/dora'), at('logits')];
    merge(base, adapter, output);
    const ids = Int32Array.of(3, 1, 4, 1, 5);
    const trained = loadModel(base, { loadIn4bit: true, ...quant });
    loadAdapter(trained, adapter);
    const gaps = [...logitsOf(loadModel(output), ids)].map((value, i) => Math.abs(value - logitsOf(trained, ids)[i]!));
    const { mean, max } = logitsDifference(output, trainedModel(base, adapter, quant).base, ids);
    expect(max).toBeCloseTo(Math.max(...gaps), 4);
    expect(mean).toBeCloseTo(gaps.reduce((a, b) => a + b, 0) / gaps.length, 4);
    expect(max).toBeGreaterThan(0.01);
  });

  it('unties a head when it holds an embedding of its own', () => {
    writeSmallModel(at('tied'));
    const model = addLora(loadModel(at('tied')), { r: 1, modulesToSave: ['embed_tokens'] });
    const embedding = model.adapter.saved.get('model.embed_tokens.weight')!;
    embedding.values.fill(0.5);
    saveAdapter(model, at('embedding'), { baseModel: 'base' });
    merge(at('tied'), at('embedding'), at('untied'));
    const merged = loadModel(at('untied'));
    expect(merged.config.tiedHead).toBe(false);
    const [first] = merged.weight('model.embed_tokens.weight').tensor().dataSync();
    expect(first).toBe(0.5);
    expect(merged.weight('lm_head.weight').tensor().dataSync()).toEqual(
      model.base.weights.get('model.embed_tokens.weight')!.tensor().dataSync());
  });

  it('onto a base that is in 4 bits is onto what they stand for, and is 4 bits no more', () => {
    const base = join(golden, 'bnb-4bit-tiny');
    const model = addLora(loadModel(base), { r: 2 });
    for (const parameter of model.parameters) parameter.values.fill(0.01);
    saveAdapter(model, at('adapter-4bit'), { baseModel: 'base' });
    const { weights, base: type } = merge(base, at('adapter-4bit'), at('merged-4bit'));
    expect([weights, type]).toEqual([undefined, '4 bits']);
    expect(readFileSync(at('merged-4bit', 'config.json'), 'utf8')).not.toContain('quantization_config');
    const ids = Int32Array.of(3, 1, 4);
    loadAdapter(model.base, at('adapter-4bit'));
    expect(largest(logitsOf(loadModel(at('merged-4bit')), ids), logitsOf(model.base, ids))).toBeLessThan(0.05);
  });
});

describe('nothing is left half-written:', () => {
  const adapter = join(golden, 'adapters/lora');

  it('by a merge that is not run to its end', () => {
    const merging = mergeAdapter(baseOf('half'), adapter, at('half', 'out'), { quant, shardBytes: 5e9 });
    merging.next();
    merging.next();
    merging.return(undefined as never);
    expect(existsSync(at('half', 'out'))).toBe(false);
    expect(readdirSync(at('half'))).toEqual([]);
  });

  it('by an adapter of another base', () => {
    const other = join(golden, 'bnb-4bit-tiny');
    userErrorOf(() => merge(other, adapter, at('other', 'out')), join(adapter, 'adapter_model.safetensors'));
    expect(existsSync(at('other'))).toBe(false);
  });

  it('and a folder that holds something is refused, as it is', () => {
    mkdirSync(at('full'));
    writeFileSync(at('full', 'mine.txt'), 'mine');
    userErrorOf(() => merge(baseOf('full'), adapter, at('full')), at('full'));
    expect(readdirSync(at('full'))).toEqual(['mine.txt']);
  });
});
