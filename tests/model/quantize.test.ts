import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { isLinear } from '../../src/model/config.ts';
import { loadModel } from '../../src/model/load.ts';
import { quantizeModel } from '../../src/model/quantize.ts';
import type { QuantizeModelOptions } from '../../src/model/quantize.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { testBackend } from '../backend.ts';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const at = temporaryFolder();
const input = () => at('model');
const output = () => at('4bit');
beforeEach(() => {
  rmSync(input(), { recursive: true, force: true });
  rmSync(output(), { recursive: true, force: true });
  writeSmallModel(input());
});

const defaults: QuantizeModelOptions = { quantType: 'nf4', doubleQuant: true, blockSize: 64, shardBytes: 5e9 };

function write(options: Partial<QuantizeModelOptions> = {}) {
  return [...quantizeModel(input(), output(), { ...defaults, ...options })];
}

function tensorOf(folder: string, name: string) {
  const index = join(folder, 'model.safetensors.index.json');
  const file = existsSync(index)
    ? (JSON.parse(readFileSync(index, 'utf8')) as { weight_map: Record<string, string> }).weight_map[name]!
    : 'model.safetensors';
  const saved = readSafetensors(join(folder, file));
  const { dtype, shape } = saved.entry(name);
  const bytes = saved.bytes(name);
  return { dtype, shape, length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

describe('a model written in 4 bits', () => {
  it.each([
    [{}], [{ quantType: 'fp4' }], [{ doubleQuant: false }], [{ blockSize: 4096 }], [{ shardBytes: 2e5 }],
  ] as const)('is the one that would have been quantised on loading: %j', (options) => {
    write(options);
    const direct = loadModel(input(), { loadIn4bit: true, ...defaults, ...options });
    const read = loadModel(output());
    for (const [name, weight] of direct.weights) {
      const other = read.weight(name);
      if (weight instanceof QuantizedWeight) {
        expect((other as QuantizedWeight).quantized, name).toEqual(weight.quantized);
      } else {
        expect(tensorOf(output(), name), name).toEqual(tensorOf(input(), name));
      }
    }
    direct.dispose();
    read.dispose();
  });

  it('has the tensors, types and fields of the checkpoint that bitsandbytes wrote', () => {
    writeSmallModel(input(), { ...smallConfig, vocabSize: 320, tiedHead: false });
    write();
    const [ours, golden] = [output(), join(import.meta.dirname, '../golden/bnb-4bit-tiny')]
      .map((folder) => readSafetensors(join(folder, 'model.safetensors')));
    expect(ours!.names().sort()).toEqual(golden!.names().sort());
    for (const name of golden!.names()) {
      expect({ name, dtype: ours!.entry(name).dtype, rank: ours!.entry(name).shape.length })
        .toEqual({ name, dtype: golden!.entry(name).dtype, rank: golden!.entry(name).shape.length });
      if (!name.includes('quant_state')) continue;
      const keys = [ours!, golden!].map((file) =>
        Object.keys(JSON.parse(Buffer.from(file.bytes(name)).toString()) as object));
      expect(keys[0]).toEqual(keys[1]);
    }
    const configs = [output(), join(import.meta.dirname, '../golden/bnb-4bit-tiny')].map((folder) =>
      JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { quantization_config: object });
    expect(configs[0]!.quantization_config).toEqual(configs[1]!.quantization_config);
    expect(ours!.metadata).toEqual({ format: 'pt' });
  });

  it('is cut into files no larger than asked, with their index', () => {
    const { shards } = write({ shardBytes: 3e5 }).at(-1)!;
    const files = readdirSync(output()).filter((file) => file.endsWith('.safetensors')).sort();
    expect(files).toHaveLength(shards);
    expect(files[0]).toBe(`model-00001-of-0000${shards}.safetensors`);
    const index = JSON.parse(readFileSync(join(output(), 'model.safetensors.index.json'), 'utf8')) as
      { metadata: { total_size: number }; weight_map: Record<string, string> };
    expect([...new Set(Object.values(index.weight_map))].sort()).toEqual(files);
    const sizes = Object.keys(index.weight_map).map((name) => tensorOf(output(), name).length);
    expect(index.metadata.total_size).toBe(sizes.reduce((a, b) => a + b, 0));
    for (const [name, file] of Object.entries(index.weight_map)) {
      const weight = name.replace(/(\.weight)\..*/, '$1');
      if (isLinear(weight)) expect(file, name).toBe(index.weight_map[weight]);
    }
  });

  it('keeps config.json as it was written, but for one field, and the tokenizer\'s files', () => {
    const text = readFileSync(join(input(), 'config.json'), 'utf8').replace('"rope_theta":10000', '"rope_theta":10000.0');
    writeFileSync(join(input(), 'config.json'), text);
    writeFileSync(join(input(), 'generation_config.json'), '{}');
    writeFileSync(join(input(), 'pytorch_model.bin'), 'other weights');
    mkdirSync(join(input(), 'tokenizer_folder'));
    write();
    const written = readFileSync(join(output(), 'config.json'), 'utf8');
    expect(written.startsWith(text.slice(0, -1))).toBe(true);
    expect(Object.keys(JSON.parse(written) as object)).toEqual([...Object.keys(JSON.parse(text) as object), 'quantization_config']);
    expect(readdirSync(output()).sort())
      .toEqual(['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']);
  });

  it('tells how far it is: bytes read, bytes written, bits', () => {
    const progress = write();
    const { bytesRead, bytesToRead, bytesWritten, parameters, bytesIn4bit } = progress.at(-1)!;
    expect(bytesRead).toBe(bytesToRead);
    expect(progress.map((now) => now.bytesRead)).toEqual(progress.map((now) => now.bytesRead).sort((a, b) => a - b));
    expect(bytesWritten).toBeLessThan(readFileSync(join(output(), 'model.safetensors')).length);
    expect(8 * bytesIn4bit / parameters).toBeCloseTo(4.14, 1);
  });
});

describe('nothing is left half written', () => {
  const left = () => readdirSync(at('.')).filter((name) => name !== 'model');

  it('when it is given up in the middle', () => {
    for (const { bytesRead, bytesToRead } of quantizeModel(input(), output(), defaults)) {
      expect(left()).toEqual([expect.stringMatching(/^4bit\..*\.tmp$/)]);
      if (bytesRead > bytesToRead / 2) break;
    }
    expect(left()).toEqual([]);
  });

  it('when a weight turns out not to hold numbers', () => {
    const file = join(input(), 'model.safetensors');
    const bytes = readFileSync(file);
    bytes.fill(0xff, bytes.length - 30_000, bytes.length - 29_000); // in the last block's matrices
    writeFileSync(file, bytes);
    userErrorOf(() => write(), input());
    expect(left()).toEqual([]);
  });

  it('over what is there already', () => {
    mkdirSync(output());
    write(); // an empty folder may be there
    const before = readFileSync(join(output(), 'model.safetensors'));
    expect(userErrorOf(() => write(), output())).toContain('ya existe');
    expect(readFileSync(join(output(), 'model.safetensors')).equals(before)).toBe(true);
    expect(left()).toEqual(['4bit']);
  });

  it('of a model that is in 4 bits already, whatever its config.json says', () => {
    write();
    const again = () => [...quantizeModel(output(), at('again'), defaults)];
    expect(userErrorOf(again, output())).toContain('ya está cuantizado');
    copyFileSync(join(input(), 'config.json'), join(output(), 'config.json'));
    expect(userErrorOf(again, output())).toContain('ya está en 4 bits');
    expect(left()).toEqual(['4bit']);
  });
});
