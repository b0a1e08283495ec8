import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { toBfloat16 } from '../../src/checkpoint/halves.ts';
import { SafetensorsWriter } from '../../src/checkpoint/safetensors.ts';
import { isLinear, toHuggingFace, weightShapes } from '../../src/model/config.ts';
import type { LlamaConfig } from '../../src/model/config.ts';
import { Random } from '../../src/random.ts';
import { temporaryFolder } from '../temporary.ts';

const MiB = 2 ** 20;

/** 530 million parameters, of which 13 million in the embedding: 1.06 GB in bfloat16. */
const config: LlamaConfig = {
  vocabSize: 6400, hiddenSize: 2048, intermediateSize: 5632, layers: 10, heads: 32, kvHeads: 32, headDim: 64,
  maxPositions: 2048, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: true,
};
const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const shapes = [...weightShapes(config)];
const parameters = (chosen: typeof shapes) => chosen.reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
const linear = parameters(shapes.filter(([name]) => isLinear(name)));
const wide = parameters(shapes) - linear;
const largest = 2 * Math.max(...shapes.map(([, shape]) => sizeOf(shape)));

/** Beyond the weights held and the largest tensor: buffers, and what the garbage collector has not come to yet. */
const CONSTANT = 64 * MiB;

const at = temporaryFolder();

/** Random values, of which one stretch after another is written: 1 GB without a gigabyte of memory. */
beforeAll(() => {
  const random = Random.for(1, 'weights');
  const values = toBfloat16(Float32Array.from({ length: 2 ** 20 }, () => 0.02 * random.normal()));
  const block = new Uint8Array(values.buffer);
  const writer = new SafetensorsWriter(at('model.safetensors'), 1024 * shapes.length, { format: 'pt' });
  for (const [name, shape] of shapes) {
    writer.add(name, { dtype: 'BF16', shape }, (function* () {
      for (let left = 2 * sizeOf(shape); left > 0; left -= block.length) yield block.subarray(0, left);
    })());
  }
  writer.close();
  writeFileSync(at('config.json'), JSON.stringify(toHuggingFace(config, { bosId: 0, eosId: 1, padId: 2 })));
});

function run(script: string, ...args: string[]): string {
  const { stdout, stderr, status } = spawnSync(
    process.execPath, ['--import', 'tsx', script, ...args], { cwd: join(import.meta.dirname, '../..'), encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

describe('a checkpoint of more than 1 GB', () => {
  it('is loaded in 4 bits within the bytes held, those of the largest tensor, and a constant', () => {
    expect(statSync(at('model.safetensors')).size).toBeGreaterThan(1e9);
    const { before, peak, held } = JSON.parse(run('tests/model/streaming.ts', at('.'))) as Record<string, number>;
    // Embedding and norms are held in float32.
    expect(held).toBeLessThan(linear * 4.128 / 8 + wide * 4);
    expect(peak! - before!).toBeLessThan(held! + largest + CONSTANT);
  }, 120_000);

  it('is written in 4 bits without holding them: within a constant of a process that does nothing', () => {
    const said = run('src/cli/quantize.ts', '--model', at('.'), '--output', at('4bit'), '--shard-size', '100MB');
    const [, peak] = /pico de memoria (\d+)(?:,\d)? MiB/.exec(said)!;
    expect(Number(peak)).toBeLessThan(350); // some 190 for the program alone
    expect(said).toMatch(/4,127 bits por parámetro/);
    expect(said).toMatch(/100 % · 1005,1 MiB de 1005,1 MiB/);
    expect(readdirSync(at('4bit')).filter((file) => file.endsWith('-of-00003.safetensors'))).toHaveLength(3);
    rmSync(at('4bit'), { recursive: true });
  }, 120_000);
});
