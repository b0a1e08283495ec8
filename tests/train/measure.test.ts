import { statSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel, openModel } from '../../src/model/load.ts';
import { writeSyntheticModel } from '../../src/model/synthetic.ts';
import { loadLora } from '../../src/peft/folder.ts';
import { median } from '../../src/statistics.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { measure } from '../../src/train/measure.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder } from '../temporary.ts';

const folder = temporaryFolder();
const shape = {
  hiddenSize: 64, intermediateSize: 128, layers: 2, heads: 4, kvHeads: 2, vocabSize: 300, tiedHead: false,
};

beforeAll(async () => {
  setFlagsFromString('--expose-gc');
  globalThis.gc = runInNewContext('gc') as typeof gc;
  await useBackend(testBackend('wasm'));
  const written = [...writeSyntheticModel(folder('model'), shape)];
  expect(written.at(-1)).toBeGreaterThan(2 * 300 * 64 * 2);
});

it('writes a model of the shape, in bf16, as it would be downloaded', () => {
  expect(openModel(folder('model')).config).toMatchObject(shape);
  const parameters = 2 * 300 * 64 + 64 + 2 * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64);
  const { size } = statSync(folder('model', 'model.safetensors'));
  expect(size).toBeGreaterThan(2 * parameters);
  expect(size).toBeLessThan(2 * parameters + 10_000);
});

describe('300 steps', () => {
  it('leave no tensor behind, and no memory: the last fifty within 5% of what those after the first fifty held', async () => {
    const { steps, trainable, checkpoints, tokensPerSecond } = await measure({
      folder: folder('model'), sequence: 32, batch: 1, r: 4, steps: 300, adapter: folder('adapter'),
    });
    expect(new Set(steps.slice(1).map(({ tensors }) => tensors)).size).toBe(1);
    const held = (from: number) => median(steps.slice(from, from + 50).map(({ resident }) => resident));
    // A software adapter's memory is the process's own, with the kernels that it compiles.
    expect(held(250) / held(50)).toBeLessThan(testBackend('wasm') === 'webgpu' ? 1.15 : 1.05);
    expect(checkpoints).toBe(2 * 32 * 64 * 4);
    expect(tokensPerSecond).toBeGreaterThan(0);
    expect(steps.every(({ loss }) => Number.isFinite(loss))).toBe(true);
    const saved = loadLora(loadModel(folder('model'), { loadIn4bit: true }), folder('adapter'));
    expect(saved.parameters.reduce((sum, { values }) => sum + values.length, 0)).toBe(trainable);
  }, 120_000);
});
