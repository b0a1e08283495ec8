import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { LoraOptions } from '../../src/peft/lora.ts';
import type { TrainingHooks } from '../../src/peft/trainable.ts';
import { trainEvent } from '../../src/runs/events.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { meanLoss } from '../../src/train/evaluate.ts';
import { train } from '../../src/train/train.ts';
import type { TrainData, TrainOptions } from '../../src/train/train.ts';
import {
  referenceExamples, referenceModel, referenceOf, referenceSteps, relativeError,
} from '../golden/training/reference.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder } from '../temporary.ts';
import { tinyBase, tinyConfig, tinyExamples, tinyTokenizer } from '../tiny.ts';

beforeAll(() => useBackend(testBackend('wasm')));
const at = temporaryFolder();

const data: TrainData = { tokenizer: tinyTokenizer, train: tinyExamples(20), heldOut: tinyExamples(4, 2) };
/** 20 examples by 4 are 5 steps an epoch; pages so small that they go to disk and back. */
const small: Partial<TrainOptions> = {
  batchSize: 4, epochs: 2, learningRate: 0.02, samples: 2, pageBytes: 512, residentBytes: 1024,
};

function model(options: Partial<LoraOptions> = {}): PeftModel {
  return addLora(tinyBase(), { r: 4, alpha: 8, dropout: 0.1, ...options });
}

/** All events; `onEvent` hears each as it comes. */
async function run(
  trainable: PeftModel, options: Partial<TrainOptions> = {}, onEvent: (event: TrainEvent) => void = () => {},
  from: TrainData = data,
): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of train(trainable, from, { ...small, ...options })) {
    events.push(event);
    onEvent(event);
  }
  return events;
}

type Event<Type extends TrainEvent['type']> = Extract<TrainEvent, { type: Type }>;
const only = <Type extends TrainEvent['type']>(events: readonly TrainEvent[], type: Type) =>
  events.filter((event): event is Event<Type> => event.type === type);
const losses = (events: readonly TrainEvent[]) => only(events, 'step').map(({ loss }) => loss);
const valuesOf = ({ parameters }: PeftModel) => parameters.map(({ values }) => values.slice());

async function refusal(running: Promise<unknown>): Promise<string> {
  const error: unknown = await running.then(() => undefined, (error: unknown) => error);
  expect(error).toBeInstanceOf(UserError);
  return (error as UserError).message;
}

describe('a run', () => {
  it('tells its events in order: start, before, steps, memory, after, done', async () => {
    const events = await run(model(), { checkpointEvery: 5 });
    const step = Array<string>(5).fill('step');
    expect(events.map(({ type }) => type)).toEqual([
      'start', 'evaluation', 'sample', 'sample', ...step, 'memory', ...step, 'memory',
      'evaluation', 'sample', 'sample', 'done',
    ]);
    for (const event of events) expect(trainEvent.parse(event)).toEqual(event);
    expect(events[0]).toMatchObject({
      steps: 10, epochs: 2, examples: 20, batchSize: 4, accumulation: 1, effectiveBatch: 4, resumedAt: 0,
    });
    expect(only(events, 'step').map(({ step, epoch }) => [step, epoch]))
      .toEqual(Array.from({ length: 10 }, (_, i) => [i + 1, (i + 1) / 5]));
    expect(only(events, 'evaluation').map(({ when, step, count }) => [when, step, count]))
      .toEqual([['before', 0, 4], ['after', 10, 4]]);
    expect(events.at(-1)).toMatchObject({ type: 'done', steps: 10, stopped: 'finished' });
  });

  it('learns', async () => {
    // By heart: a base of random weights knows nothing that would carry over to other questions.
    const asked = { ...data, train: data.train.slice(0, 4), heldOut: data.train.slice(0, 4) };
    const events = await run(model({ r: 8, dropout: 0 }), { epochs: 60, learningRate: 0.05 }, undefined, asked);
    const [before, after] = only(events, 'evaluation');
    expect(after!.loss).toBeLessThan(before!.loss / 4);
    expect(before!.exactMatch).toBeLessThan(0.5);
    expect(after!.exactMatch).toBe(1);
    const answered = only(events, 'sample').filter(({ when }) => when === 'after');
    for (const { answer, expected } of answered) expect(answer).toBe(expected);
  });

  it('changes the adapter and nothing of the base', async () => {
    const trained = model();
    const base = () => [...trained.base.weights.values()].map((weight) => weight.tensor().dataSync().slice());
    const before = base();
    await run(trained);
    expect(base()).toEqual(before);
    trained.parameters.forEach(({ name, values }, i) =>
      expect(values, name).not.toEqual(model().parameters[i]!.values));
  });

  it('with the same seed gives the same losses and the same adapter, bit for bit; with another, others', async () => {
    const [one, two] = [model(), model()];
    const first = await run(one);
    expect(losses(await run(two))).toEqual(losses(first));
    expect(valuesOf(two)).toEqual(valuesOf(one));
    expect(losses(await run(model(), { seed: 43 }))).not.toEqual(losses(first));
  });

  it('visits every example once an epoch, in another order each', async () => {
    const tokens = only(await run(model()), 'step').map(({ tokens }) => tokens);
    const all = data.train.reduce((sum, example) => sum + example.tokens.length, 0);
    expect(tokens.slice(0, 5).reduce((a, b) => a + b)).toBe(all);
    expect(tokens.slice(5).reduce((a, b) => a + b)).toBe(all);
    expect(tokens.slice(5)).not.toEqual(tokens.slice(0, 5));
  });

  it('takes a part of an epoch, and at least one step', async () => {
    expect(losses(await run(model(), { epochs: 0.6 }))).toHaveLength(3);
    expect(losses(await run(model(), { epochs: 0.01 }))).toHaveLength(1);
  });

  it('takes so many steps when they are told, and no notice of the epochs', async () => {
    const events = await run(model(), { steps: 7, epochs: 100 });
    expect(losses(events)).toHaveLength(7);
    expect(events[0]).toMatchObject({ steps: 7, epochs: 1.4 });
  });

  it('asks nothing when there are no held-out questions', async () => {
    const events = await run(model(), { epochs: 1 }, undefined, { ...data, heldOut: [] });
    expect([...new Set(events.map(({ type }) => type))]).toEqual(['start', 'step', 'memory', 'done']);
  });

  it('clips the gradient, and tells its norm before that', async () => {
    const [free, clipped] = [model(), model()];
    const norms = (events: TrainEvent[]) => only(events, 'step').map(({ gradientNorm }) => gradientNorm);
    const [a] = norms(await run(free, { epochs: 0.4, clip: 1e9 }));
    const [b] = norms(await run(clipped, { epochs: 0.4, clip: 1e-9 }));
    expect(b).toBe(a);
    expect(a).toBeGreaterThan(0);
    // With a clip far under Adam's epsilon the steps all but vanish.
    const moved = (trained: PeftModel) => Math.max(...valuesOf(trained).flatMap((values, i) =>
      Array.from(values, (value, j) => Math.abs(value - model().parameters[i]!.values[j]!))));
    expect(moved(clipped)).toBeLessThan(moved(free) / 5);
  });

  it('does what the method asks: its penalty beside the loss, and its turn after each step', async () => {
    const plain = model();
    const [first] = only(await run(plain, { epochs: 0.2, clip: 1 }), 'step');
    const trained = model();
    const told: string[] = [];
    const taken: (readonly Float32Array[])[] = [];
    const hooks: TrainingHooks = {
      start: (steps) => void told.push(`start ${steps}`),
      penalty: () => trained.parameters.map(({ values }) => new Float32Array(values.length).fill(3)),
      afterStep(step, gradients) {
        told.push(`step ${step}`);
        taken.push(gradients);
      },
    };
    const events = await run({ ...trained, hooks }, { epochs: 0.4, clip: 1 });
    expect(told).toEqual(['start 2', 'step 1', 'step 2']);
    const [step] = only(events, 'step');
    expect(step!.loss).toBe(first!.loss); // the loss that is told is the answers' alone
    expect(step!.gradientNorm).toBeGreaterThan(first!.gradientNorm);
    expect(Math.hypot(...taken[0]!.map((gradient) => Math.hypot(...gradient)))).toBeCloseTo(1, 5); // after clipping
    expect(valuesOf(trained)).not.toEqual(valuesOf(plain));
  });

  it('leaves no tensor behind but the adapter\'s own', async () => {
    const trained = model();
    await run(trained, { epochs: 0.2 });
    const before = tf.memory().numTensors;
    await run(trained, { epochs: 2 });
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('accumulation', () => {
  it('of two batches of 4 equals one of 8, when nothing is dropped', async () => {
    const [whole, parts] = [model({ dropout: 0 }), model({ dropout: 0 })];
    const one = await run(whole, { batchSize: 8 });
    const two = await run(parts, { batchSize: 4, accumulation: 2 });
    expect(only(two, 'start')[0]).toMatchObject({ batchSize: 4, accumulation: 2, effectiveBatch: 8, steps: 6 });
    losses(one).forEach((loss, i) => expect(losses(two)[i]).toBeCloseTo(loss, 5));
    valuesOf(whole).forEach((values, i) => values.forEach((value, j) =>
      expect(Math.abs(value - parts.parameters[i]!.values[j]!)).toBeLessThan(1e-4)));
  });

  it('drops other activations in each of its batches', async () => {
    const twice = { ...data, train: [data.train[0]!, data.train[0]!] };
    const of = async (accumulation: number, train: TrainData['train']) => losses(await run(
      model({ dropout: 0.5 }), { batchSize: 1, accumulation, epochs: 2, learningRate: 0.5, warmup: 0 }, undefined,
      { ...data, train },
    ));
    const [first, second] = await of(2, twice.train);
    const [firstAlone, secondAlone] = await of(1, twice.train.slice(1));
    // B is zero in the first step and hides what is dropped; with one mask twice, the second would be the same too.
    expect(first).toBeCloseTo(firstAlone!, 6);
    expect(second).not.toBeCloseTo(secondAlone!, 4);
  });
});

describe('ten steps of PyTorch and PEFT (tests/golden/training)', () => {
  // Eight texts a step: the reference's one batch, or the sum of two or four of unlike answers.
  it.each([[8, 1], [4, 2], [2, 4]])('are made again in batches of %d, accumulated over %d', async (batchSize, accumulation) => {
    const trained = referenceModel();
    const tokenizer = { ...tinyTokenizer, padId: 0, vocabSize: trained.base.config.vocabSize };
    const events = await run(trained, {
      batchSize, accumulation, epochs: 10, learningRate: 0.02, warmup: 0.3, weightDecay: 0.1, clip: 2,
    }, undefined, { tokenizer, train: referenceExamples, heldOut: [] });
    const steps = only(events, 'step');
    const { losses, norms, rates } = referenceSteps;
    expect(steps).toHaveLength(10);
    steps.forEach(({ step, loss, gradientNorm, learningRate }, i) => {
      expect(Math.abs(loss - losses[i]!), `loss of step ${step}`).toBeLessThan(2e-5);
      expect(Math.abs(gradientNorm / norms[i]! - 1), `norm of step ${step}`).toBeLessThan(1e-4);
      expect(Math.abs(learningRate / rates[i]! - 1), `rate of step ${step}`).toBeLessThan(1e-6);
    });
    for (const { name, values } of trained.parameters) {
      expect(relativeError(values, referenceOf('trained', name)), name).toBeLessThan(1e-4);
    }
  });
});

describe('without gradient checkpointing', () => {
  // Blocks as graphs pad the batch, which shifts what dropout draws: tests/train/graphs.test.ts compares those.
  it.skipIf(testBackend('wasm') === 'tensorflow')('the losses are the same, and no block input is kept [TensorFlow nativo calcula por grafos]', async () => {
    const [kept, recomputed] = [await run(model(), { checkpointing: false }), await run(model())];
    losses(kept).forEach((loss, i) => expect(losses(recomputed)[i]).toBeCloseTo(loss, 4));
    expect(only(kept, 'memory').at(-1)!.checkpoints).toBe(0);
    expect(only(recomputed, 'memory').at(-1)!.checkpoints)
      .toBe(tinyConfig.layers * tinyConfig.hiddenSize * 4 * 4 * 5); // 4 rows of 5 tokens
  });
});

describe('an interrupted run', () => {
  const options = { epochs: 4, accumulation: 2, weightDecay: 0.01, checkpointEvery: 4 };

  it.each([1, 4, 7])('at step %d resumes to the losses and the adapter of one that was not', async (stop) => {
    const whole = model();
    const uninterrupted = await run(whole, options);
    expect(losses(uninterrupted)).toHaveLength(12);

    const checkpointFile = at(`stopped-${stop}.safetensors`);
    const interruption = new AbortController();
    const first = await run(model(), { ...options, checkpointFile, signal: interruption.signal }, (event) => {
      if (event.type === 'step' && event.step === stop) interruption.abort();
    });
    expect(first.at(-1)).toMatchObject({ type: 'done', steps: stop, stopped: 'interrupted' });
    expect(only(first, 'evaluation').map(({ when }) => when)).toEqual(['before']);

    const second = model({ seed: 5 }); // its start does not matter
    const resumed = await run(second, { ...options, checkpointFile, resume: true });
    expect(losses(resumed)).toEqual(losses(uninterrupted));
    expect(valuesOf(second)).toEqual(valuesOf(whole));
    expect(only(resumed, 'evaluation').map(({ loss, exactMatch }) => [loss, exactMatch]))
      .toEqual(only(uninterrupted, 'evaluation').map(({ loss, exactMatch }) => [loss, exactMatch]));
  });

  it('in 8 bits resumes to the same, too', async () => {
    const eight = { ...options, optimizer: 'paged_adamw_8bit', pageBytes: 1024 } as const;
    // r 600: 4,800 values in each matrix on the hidden size of 8.
    const wide = () => model({ r: 600, targetModules: ['q_proj'] });
    const uninterrupted = await run(wide(), eight);
    expect(losses(uninterrupted)).not.toEqual(losses(await run(wide(), { ...eight, optimizer: 'paged_adamw_32bit' })));
    const checkpointFile = at('eight.safetensors');
    const interruption = new AbortController();
    await run(wide(), { ...eight, checkpointFile, signal: interruption.signal }, (event) => {
      if (event.type === 'step' && event.step === 3) interruption.abort();
    });
    expect(losses(await run(wide(), { ...eight, checkpointFile, resume: true }))).toEqual(losses(uninterrupted));
    expect(await refusal(run(wide(), { ...options, checkpointFile, resume: true })))
      .toContain('--optimizer: paged_adamw_8bit → paged_adamw_32bit');
  });

  it('tells again, on resuming, what it had told, and where it goes on', async () => {
    const checkpointFile = at('told.safetensors');
    const interruption = new AbortController();
    const first = await run(model(), { ...options, checkpointFile, signal: interruption.signal }, (event) => {
      if (event.type === 'step' && event.step === 5) interruption.abort();
    });
    const resumed = await run(model(), { ...options, checkpointFile, resume: true });
    expect(resumed[0]).toMatchObject({ type: 'start', resumedAt: 5, steps: 12 });
    expect(resumed.slice(1, first.length - 1)).toEqual(first.slice(1, -1));
    const seconds = only(resumed, 'step').map(({ seconds }) => seconds);
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  });

  it('that had not begun trains nothing, and resumes all the same', async () => {
    const checkpointFile = at('unbegun.safetensors');
    const stopped = model();
    const events = await run(stopped, { ...options, checkpointFile, signal: AbortSignal.abort() });
    expect(losses(events)).toEqual([]);
    expect(valuesOf(stopped)).toEqual(valuesOf(model()));
    expect(losses(await run(model(), { ...options, checkpointFile, resume: true }))).toHaveLength(12);
  });

  it('that had finished is evaluated again, and no more', async () => {
    const checkpointFile = at('finished.safetensors');
    const first = await run(model(), { checkpointFile });
    const again = await run(model(), { checkpointFile, resume: true });
    expect(losses(again)).toEqual(losses(first));
    expect(only(again, 'evaluation').at(-1)!.loss).toBe(only(first, 'evaluation').at(-1)!.loss);
  });

  it('is not resumed with other options or inputs, which are named', async () => {
    const checkpointFile = at('other.safetensors');
    await run(model(), { checkpointFile, inputs: { alpha: 8, targetModules: ['q_proj'] } });
    const message = await refusal(run(model(), {
      checkpointFile, resume: true, learningRate: 0.5, inputs: { alpha: 16, targetModules: ['q_proj'] },
    }));
    expect(message).toContain(checkpointFile);
    expect(message).toContain('(--learning-rate: 0.02 → 0.5, --alpha: 8 → 16)');
  });
});

describe('a loss that is no number', () => {
  it('stops the run, and the last good adapter is what is left', async () => {
    const trained = model();
    const seen = [valuesOf(trained)];
    const told: TrainEvent[] = [];
    const message = await refusal(run(trained, { learningRate: 1e30, warmup: 0 }, (event) => {
      told.push(event);
      if (event.type === 'step') seen.push(valuesOf(trained));
    }));
    const stepsTold = losses(told).length;
    expect(stepsTold).toBeGreaterThan(0);
    expect(message).toContain(`en el paso ${stepsTold + 1}`);
    expect(message).toContain(`queda el adaptador del paso ${stepsTold - 1}`);
    expect(message).toContain('--learning-rate');
    // Step n + 1 found the loss of step n's adapter to be none; that of step n − 1 had given one.
    expect(valuesOf(trained)).toEqual(seen[stepsTold - 1]);
    expect(await meanLoss(trained.base, data.train, tinyTokenizer)).toBeLessThan(100);
  });

  it('is found by a look at the validation examples, before a checkpoint is kept', async () => {
    const trained = model();
    const checkpointFile = at('looked.safetensors');
    const looking = { ...data, validation: data.heldOut, heldOut: [] };
    const options = { learningRate: 1e30, warmup: 0, validateEvery: 1, checkpointFile, checkpointEvery: 1 };
    const message = await refusal(run(trained, options, undefined, looking));
    expect(message).toContain('al evaluar');
    expect(valuesOf(trained)).toEqual(valuesOf(model()));
    expect(existsSync(checkpointFile)).toBe(false);
  });

  it('is found by the last evaluation, too', async () => {
    const trained = model();
    const message = await refusal(run(trained, { learningRate: 1e30, warmup: 0, epochs: 0.2 }));
    expect(message).toContain('al evaluar');
    expect(valuesOf(trained)).toEqual(valuesOf(model()));
  });

  it.each([1, 0.2])('leaves no checkpoint of the parameters that gave it (%d epochs)', async (epochs) => {
    const checkpointFile = at(`broken-${epochs}.safetensors`);
    const options = { learningRate: 1e30, warmup: 0, epochs, checkpointEvery: 1, checkpointFile };
    await refusal(run(model(), options));
    expect(await refusal(run(model(), { ...options, resume: true }))).toContain('no hay ningún punto de control');
  });

  it('of the parameters that a run begins with is not said to leave others', async () => {
    const broken = model();
    broken.parameters.forEach((parameter) => parameter.assign(parameter.values.map(() => 1e30)));
    expect(await refusal(run(broken))).toBe('La pérdida dejó de ser un número al evaluar: se detiene el entrenamiento. '
      + 'Prueba con --learning-rate más bajo.');
  });
});

describe('a tokenizer that is not the model\'s', () => {
  it('is refused before anything is done', async () => {
    const checkpointFile = at('mismatch', 'checkpoint.safetensors');
    const tokenizer = { ...tinyTokenizer, vocabSize: tinyConfig.vocabSize + 1 };
    const message = await refusal(run(model(), { checkpointFile }, undefined, { ...data, tokenizer }));
    expect(message).toContain('tokenizador');
    expect(existsSync(at('mismatch'))).toBe(false);
  });
});
