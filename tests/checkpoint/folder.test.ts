import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/folder.ts';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { dequantize } from '../../src/quant/quantize.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const golden = join(import.meta.dirname, '../golden/bnb-4bit-tiny');
const quantized = 'model.layers.0.mlp.up_proj.weight';

function values(loaded: ReturnType<ReturnType<typeof openCheckpoint>['load']>): Float32Array {
  return 'packed' in loaded ? dequantize(loaded) : loaded.values();
}

function bytes(array: Float32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

describe('a folder with one file', () => {
  it('gives the configuration, the weights by name, and the files it read', () => {
    const checkpoint = openCheckpoint(golden);
    expect(checkpoint.config).toEqual(JSON.parse(readFileSync(join(golden, 'config.json'), 'utf8')));
    expect(checkpoint.fileList).toEqual([join(golden, 'config.json'), join(golden, 'model.safetensors')]);
    expect(checkpoint.names()).toHaveLength(14 + 7);
  });

  it('gives a 4-bit weight as it is, and a wide one in float32', () => {
    const checkpoint = openCheckpoint(golden);
    expect(checkpoint.load(quantized)).toMatchObject({ quantType: 'nf4', shape: [352, 128] });
    const norm = checkpoint.load('model.norm.weight');
    expect(norm).toMatchObject({ dtype: 'BF16', shape: [128] });
    expect(values(norm)).toEqual(readSafetensors(join(golden, 'model.safetensors')).float32('model.norm.weight'));
    expect(userErrorOf(() => checkpoint.load('model.norm.bias'), golden)).toContain('«model.norm.bias»');
  });
});

describe('a folder with shards', () => {
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const index = () => at('model.safetensors.index.json');

  function writeIndex(weightMap: Record<string, string>): void {
    writeFileSync(index(), JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }));
  }

  // Tensors in turn to one shard and the other, so that 4-bit weights lie apart from their satellites.
  let weightMap: Record<string, string> = {};
  beforeEach(() => {
    const whole = readSafetensors(join(golden, 'model.safetensors'));
    const halves: [Record<string, TensorData>, Record<string, TensorData>] = [{}, {}];
    weightMap = {};
    whole.names().sort().forEach((name, i) => {
      const half = i % 2 === 0 ? 0 : 1;
      halves[half][name] = { ...whole.entry(name), data: whole.bytes(name) };
      weightMap[name] = shards[half];
    });
    halves.forEach((tensors, i) => writeSafetensors(at(shards[i]!), tensors));
    writeIndex(weightMap);
    copyFileSync(join(golden, 'config.json'), at('config.json'));
  });

  it('gives the same weights as one file, and names every shard', () => {
    const checkpoint = openCheckpoint(at('.'));
    const single = openCheckpoint(golden);
    expect(checkpoint.names().sort()).toEqual(single.names().sort());
    for (const name of single.names()) {
      expect(bytes(values(checkpoint.load(name))).equals(bytes(values(single.load(name)))), name).toBe(true);
    }
    expect([...checkpoint.fileList].sort())
      .toEqual([at('config.json'), index(), ...shards.map((shard) => at(shard))].sort());
  });

  it('is refused without one of its shards', () => {
    rmSync(at(shards[1]));
    expect(userErrorOf(() => openCheckpoint(at('.')), index()))
      .toContain(`nombra «${shards[1]}», que no está en la carpeta: vuelve a descargar el modelo`);
  });

  it('is refused when a shard lacks what the index promises', () => {
    writeIndex({ ...weightMap, 'lm_head.bias': shards[0] });
    expect(userErrorOf(() => openCheckpoint(at('.')), at(shards[0]))).toContain('«lm_head.bias»');
  });

  it.each(['../elsewhere.safetensors', '/etc/passwd', 'a\\b.safetensors', 'model.bin'])('never follows the path %s', (file) => {
    writeIndex({ 'lm_head.weight': file });
    expect(userErrorOf(() => openCheckpoint(at('.')), index())).toContain('weight_map.lm_head.weight');
  });

  it('is refused when the index is none', () => {
    writeFileSync(index(), '{"weights": {}}');
    expect(userErrorOf(() => openCheckpoint(at('.')), index())).toContain('weight_map');
  });
});

describe('a folder that is no model is refused in one sentence', () => {
  beforeEach(() => {
    rmSync(at('model'), { recursive: true, force: true });
    mkdirSync(at('model'));
    const ones = toBfloat16(Float32Array.of(1, 1));
    writeFileSync(at('model', 'config.json'), '{}');
    writeSafetensors(at('model', 'model.safetensors'), { w: { dtype: 'BF16', shape: [2], data: ones } });
    expect(values(openCheckpoint(at('model')).load('w'))).toEqual(Float32Array.of(1, 1));
  });

  it('absent', () => {
    userErrorOf(() => openCheckpoint(at('absent')), at('absent'));
  });

  it.each(['config.json', 'model.safetensors'])('without %s', (file) => {
    rmSync(at('model', file));
    expect(userErrorOf(() => openCheckpoint(at('model')), at('model', file))).toContain('No existe');
  });

  it('with the weights in pickles', () => {
    renameSync(at('model', 'model.safetensors'), at('model', 'pytorch_model.bin'));
    expect(userErrorOf(() => openCheckpoint(at('model')), at('model')))
      .toContain('los pesos solo están como «pytorch_model.bin», un pickle de Python');
  });

  it('with what a trainer left and no weights', () => {
    renameSync(at('model', 'model.safetensors'), at('model', 'training_args.bin'));
    expect(userErrorOf(() => openCheckpoint(at('model')), at('model', 'model.safetensors'))).toContain('No existe');
  });

  it('with a config.json that is not JSON', () => {
    writeFileSync(at('model', 'config.json'), 'llama');
    expect(userErrorOf(() => openCheckpoint(at('model')), at('model', 'config.json'))).toContain('JSON');
  });

  it('with a truncated model.safetensors', () => {
    const file = at('model', 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -1));
    userErrorOf(() => openCheckpoint(at('model')), file);
  });
});
