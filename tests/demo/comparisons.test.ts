import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { testBackend } from '../backend.ts';
import { loraSetting, trainAll, trainRank } from '../../demo/lora.ts';
import { costsAt7B, trainWay } from '../../demo/peft.ts';
import { found, practicesSetting, trained } from '../../demo/practices.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';

// The jobs of slides 2, 3 and 9, each for a step or two on a model of two layers.

const at = temporaryFolder();
const records = Array.from({ length: 12 }, (_, i) => ({ instruction: `Di ${i}.`, input: '', output: `Digo ${i}.` }));
const data = () => ({ files: [at('data.json')], examples: 8, heldOut: 4, template: 'es' as const, maxLength: 256, seed: 1 });

beforeAll(async () => {
  await useBackend(testBackend('wasm'));
  writeSmallModel(at('model'));
  writeFileSync(at('data.json'), JSON.stringify(records));
});

describe('the ways of fine-tuning of slide 2', () => {
  const way = (options: object) => trainWay({
    modelDir: at('model'), data: data(), steps: 1, batchSize: 4, title: '', learningRate: 1e-3, ...options,
  });

  it('cost what they hold: states of eight bytes a parameter, and less of everything with adapters', async () => {
    const [full, lora, qlora] = [await way({}), await way({ method: 'lora' }), await way({ method: 'lora', loadIn4bit: true })];
    for (const { parameters, optimizerBytes } of [full, lora]) {
      expect(optimizerBytes).toBeGreaterThanOrEqual(8 * parameters);
      expect(optimizerBytes).toBeLessThan(8 * parameters + 2 * 65_536);
    }
    expect(full.checkpointBytes).toBeGreaterThan(2 * full.parameters);
    expect(lora.checkpointBytes).toBeGreaterThan(4 * lora.parameters);
    expect(lora.peakBytes).toBeLessThan(full.peakBytes);
    expect(qlora.parameters).toBe(lora.parameters);
    expect((await way({ method: 'ia3' })).parameters).toBeLessThan(lora.parameters);
    for (const { loss, exactMatch } of [full, lora, qlora]) {
      expect(loss).toBeGreaterThan(0);
      expect(exactMatch).toBeLessThanOrEqual(1);
    }
  });

  it('are planned for 7B by the published counts', () => {
    const [full, lora, ia3, qlora] = costsAt7B();
    expect([full!.parameters, lora!.parameters, ia3!.parameters]).toEqual([6_738_415_616, 39_976_960, 614_400]);
    expect(full!.optimizerBytes).toBe(12 * 6_738_415_616);
    expect(ia3!.peakBytes).toBeLessThan(lora!.peakBytes);
    expect(qlora!.peakBytes).toBeLessThan(ia3!.peakBytes);
  });
});

describe('the trainings of slide 3', () => {
  const setting = () => ({ ...loraSetting, modelDir: at('model'), data: data(), ranks: [1, 8], steps: 2 });

  it('have the parameters of their rank, by every variant', async () => {
    const one = await trainRank({ ...setting(), r: 1, method: 'lora' });
    const eight = await trainRank({ ...setting(), r: 8, method: 'rslora' });
    expect(eight.parameters).toBe(8 * one.parameters);
    expect((await trainRank({ ...setting(), r: 1, method: 'dora' })).parameters).toBeGreaterThan(one.parameters);
  });

  it('cut a full update to ranks: of all ranks it is whole, and noise has no rank to find', async () => {
    const { full, base, truncated, energy } = await trainAll(setting());
    expect(full.loss).toBeLessThan(base.loss);
    expect(truncated.map(({ r }) => r)).toEqual([1, 8]);
    expect(energy.at(-1)!.update).toBeCloseTo(1, 9);
    const [one, eight] = energy;
    expect(one!.update).toBeLessThan(eight!.update);
    expect(eight!.update).toBeGreaterThan(eight!.random);
  });
});

describe('the trainings of slide 9', () => {
  const setting = () => ({ ...practicesSetting, modelDir: at('model'), data: data() });

  it('tell losses and looks, and a batch in halves learns the same', async () => {
    const of = async (training: object) =>
      trained({
        ...setting(), examples: 8, isExamined: true, lora: { r: 2 },
        training: { steps: 2, validateEvery: 1, learningRate: 0.01, ...training },
      });
    const whole = await of({ batchSize: 8 });
    const halves = await of({ batchSize: 4, accumulation: 2 });
    expect(whole.looks.map(({ step }) => step)).toEqual([1, 2]);
    whole.losses.forEach((loss, i) => expect(halves.losses[i]).toBeCloseTo(loss, 4));
  });

  it('find a learning rate among those climbed', async () => {
    const { points, suggestion } = await found({ ...setting(), climb: 6 });
    expect(points.map(({ learningRate }) => learningRate)).toContain(suggestion);
  });
});
