import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { Diverged } from '../../src/train/diverged.ts';
import { newModel, pretrain, pretrainDefaults } from '../../src/train/pretrain.ts';
import type { PretrainOptions } from '../../src/train/pretrain.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';
import { tinyConfig } from '../tiny.ts';

beforeAll(() => useBackend('wasm'));
const at = temporaryFolder();

/** Rows that go on as they began: something to be learnt. */
const rows = (step: number) => Array.from({ length: 4 }, (_, row) => {
  const first = Random.for(step, 'row', row).below(tinyConfig.vocabSize);
  return Array.from({ length: 9 }, (_, i) => (first + i) % tinyConfig.vocabSize);
});

async function run(name: string, given: Partial<PretrainOptions> = {}, hear: (event: TrainEvent) => void = () => {}) {
  const model = newModel(tinyConfig, 1);
  const events: TrainEvent[] = [];
  const options = {
    ...pretrainDefaults, steps: 6, batchSize: 4, seqLength: 8, warmupSteps: 2,
    checkpointFile: at(name), checkpointEvery: 3,
  };
  for await (const event of pretrain(model, rows, { ...options, ...given })) {
    events.push(event);
    hear(event);
  }
  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
  return { values: model.parameters.map(({ values }) => values), losses, last: events.at(-1) };
}

describe('pre-training', () => {
  it('learns what comes next', async () => {
    const { losses, last } = await run('whole', { steps: 60, learningRate: 0.02 });
    expect(losses[0]).toBeCloseTo(Math.log(tinyConfig.vocabSize), 1);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 1);
    expect(last).toMatchObject({ type: 'done', steps: 60, stopped: 'finished' });
  });

  it('stopped and resumed, comes to the same model bit for bit', async () => {
    const whole = await run('at once');
    const controller = new AbortController();
    const part = await run('parts', { signal: controller.signal }, (event) => {
      if (event.type === 'step' && event.step === 2) controller.abort();
    });
    expect(part.last).toMatchObject({ type: 'done', steps: 2, stopped: 'interrupted' });
    const rest = await run('parts', { resume: true });
    expect(rest.losses).toEqual(whole.losses.slice(2));
    expect(rest.values).toEqual(whole.values);
  });

  it('is not resumed on another text', async () => {
    await run('text', { inputs: { prose: 'galdos' } });
    const other = run('text', { inputs: { prose: 'other' }, resume: true });
    expect(await userErrorFrom(other, at('text'))).toContain('--prose: galdos → other');
    expect(await userErrorFrom(run('text', { resume: true }), at('text'))).toContain('--prose: galdos → nada');
  });

  it('ends at a loss that is no number, and what it had kept stays', async () => {
    const lost = run('lost', { learningRate: 1e30, warmupSteps: 0 });
    expect(await userErrorFrom(lost, 'en el paso')).toContain('--learning-rate');
    await expect(lost).rejects.toBeInstanceOf(Diverged);
    expect(existsSync(at('lost'))).toBe(false);
  });
});

describe('a new model', () => {
  it('has weights of deviation 0.02, less by √(2·layers) where a layer writes into the residual stream, and norms of 1', () => {
    const layers = 8;
    const { parameters } = newModel({ ...tinyConfig, hiddenSize: 32, intermediateSize: 64, layers }, 1);
    for (const { name, values, shape } of parameters) {
      if (shape.length === 1) {
        expect(values.every((value) => value === 1), name).toBe(true);
        continue;
      }
      const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
      const expected = /o_proj|down_proj/.test(name) ? 0.02 / Math.sqrt(2 * layers) : 0.02;
      expect(Math.abs(deviation / expected - 1), name).toBeLessThan(0.2);
    }
  });
});
