import { beforeAll, describe, expect, it } from 'vitest';
import { Parameter } from '../../src/model/weights.ts';
import { addAdaLora } from '../../src/peft/adalora.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { score } from '../../src/train/evaluate.ts';
import { EarlyStopping } from '../../src/train/stopping.ts';
import { train } from '../../src/train/train.ts';
import type { TrainOptions } from '../../src/train/train.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';
import { tinyBase, tinyExamples, tinyTokenizer } from '../tiny.ts';

beforeAll(() => useBackend('wasm'));
const at = temporaryFolder();

describe('early stopping', () => {
  it('ends after so many looks in a row without a lower loss, and goes back to the best', () => {
    const parameter = new Parameter('x', Float32Array.of(0), [1]);
    const stopping = new EarlyStopping([parameter], 2);
    const over = [3, 2, 2.5, 1, 1, NaN].map((loss, i) => {
      parameter.values[0] = i;
      stopping.look(loss);
      return stopping.isOver;
    });
    expect(over).toEqual([false, false, false, false, false, true]);
    stopping.restore();
    expect(parameter.values[0]).toBe(3);
    expect(parameter.tensor().dataSync()[0]).toBe(3);
  });
});

/** Learnt by heart, what does not help with other questions: the validation loss soon rises. */
const data = { tokenizer: tinyTokenizer, train: tinyExamples(4), validation: tinyExamples(12, 5), heldOut: [] };
const options: Partial<TrainOptions> = {
  batchSize: 4, epochs: 60, learningRate: 0.05, warmup: 0, schedule: 'constant', validateEvery: 2, patience: 3,
};
const model = () => addLora(tinyBase(), { r: 4, alpha: 8, dropout: 0 });
type Looks = Extract<TrainEvent, { type: 'evaluation' }>[];

async function run(
  trained: PeftModel, given: Partial<TrainOptions> = {}, onStep: (step: number) => void = () => {},
) {
  const events: TrainEvent[] = [];
  for await (const event of train(trained, data, { ...options, ...given })) {
    events.push(event);
    if (event.type === 'step') onStep(event.step);
  }
  return { looks: events.filter((event) => event.type === 'evaluation') as Looks, done: events.at(-1)! };
}

describe('a run with patience', () => {
  it('stops, and leaves the adapter of the lowest validation loss', async () => {
    const trained = model();
    const { looks, done } = await run(trained);
    const losses = looks.map(({ loss }) => loss);
    const best = losses.indexOf(Math.min(...losses));
    expect(best).toBeGreaterThan(0);
    expect(looks).toHaveLength(best + 1 + 3);
    expect(looks.map(({ when, step, count }) => [when, step, count])).toEqual(looks.map((_, i) => ['during', 2 * (i + 1), 12]));
    expect(done).toMatchObject({ type: 'done', stopped: 'early', steps: 2 * looks.length });
    expect((await score(trained.base, data.validation, tinyTokenizer)).loss).toBe(losses[best]);
  });

  it('interrupted and resumed, comes to the same end', async () => {
    const [whole, parts] = [model(), model()];
    const first = await run(whole);
    const interruption = new AbortController();
    const checkpointFile = at('checkpoint.safetensors');
    const last = first.looks.length * 2 - 3; // past the best look
    expect((await run(parts, { checkpointFile, signal: interruption.signal }, (step) => {
      if (step === last) interruption.abort();
    })).done).toMatchObject({ stopped: 'interrupted' });
    const resumed = model();
    const rest = await run(resumed, { checkpointFile, resume: true });
    expect(rest.looks).toEqual(first.looks);
    expect(rest.done).toMatchObject({ stopped: 'early' });
    expect(resumed.parameters.map(({ values }) => values)).toEqual(whole.parameters.map(({ values }) => values));
    const over = await run(model(), { checkpointFile, resume: true });
    expect(over).toMatchObject({ looks: first.looks, done: { stopped: 'early' } });
  });

  it.each([1, 5])('of AdaLoRA, allocated every %i steps, saves what it has examined', async (deltaT) => {
    const trained = addAdaLora(tinyBase(), { r: 2, initR: 4, alpha: 8, dropout: 0, tinit: 2, tfinal: 2, deltaT });
    const { looks, done } = await run(trained, { learningRate: 0.1 });
    expect(done).toMatchObject({ stopped: 'early' });
    saveAdapter(trained, at('adalora'), { baseModel: 'tiny' });
    const { base } = loadAdapter(tinyBase(), at('adalora'));
    const { loss } = await score(base, data.validation, tinyTokenizer);
    expect(loss).toBeCloseTo(Math.min(...looks.map((look) => look.loss)), 5);
  });

  it('needs something to look at', async () => {
    const running = async () => {
      for await (const _ of train(model(), { ...data, validation: [] }, options));
    };
    await userErrorFrom(running(), '--patience');
  });
});

describe('a run without patience', () => {
  it('looks, takes all its steps, and leaves the last parameters', async () => {
    const trained = model();
    const { looks, done } = await run(trained, { patience: undefined, epochs: 15, validateEvery: 10 });
    expect(looks.map(({ step }) => step)).toEqual([10, 15]);
    expect(done).toMatchObject({ stopped: 'finished', steps: 15 });
    expect((await score(trained.base, data.validation, tinyTokenizer)).loss).toBe(looks.at(-1)!.loss);
  });
});
