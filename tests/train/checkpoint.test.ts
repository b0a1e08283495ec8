import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import { Parameter } from '../../src/model/weights.ts';
import { Random } from '../../src/random.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { AdamW, adamwDefaults } from '../../src/train/adamw.ts';
import { checkpointProgress, loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

beforeAll(() => useBackend(testBackend('cpu')));
const at = temporaryFolder();

const fingerprint = JSON.stringify({ batchSize: 16, learningRate: 0.003, targetModules: ['q_proj', 'v_proj'] });
const events: TrainEvent[] = [
  {
    type: 'step', step: 1, epoch: 0.1, loss: 0.1 + 0.2, learningRate: 1e-3, gradientNorm: 1, tokens: 10,
    tokensPerSecond: 5, seconds: 2, secondsLeft: 18,
  },
  { type: 'sample', when: 'before', instruction: '¿Quién?', input: '', expected: 'Nadie.', answer: '«\u0000\n»' },
];

function parameters(seed: number): Parameter[] {
  const random = new Random(seed);
  return ['a', 'b'].map((name) => new Parameter(name, Float32Array.from({ length: 6 }, () => random.normal()), [2, 3]));
}

/** A file of an optimizer that has made three steps, and what it kept. */
async function saved(file: string) {
  const model = parameters(1);
  const optimizer = new AdamW(model);
  for (let step = 0; step < 3; step++) optimizer.step(parameters(step + 10).map(({ values }) => values), 0.01);
  await saveCheckpoint(file, { parameters: model }, optimizer, fingerprint, events);
  return { model, state: optimizer.exportState() };
}

const load = (file: string, { model = parameters(2), print = fingerprint } = {}) => {
  const optimizer = new AdamW(model);
  return { model, optimizer, events: loadCheckpoint(file, { parameters: model }, optimizer, print) };
};

/** The file with some tensors or metadata changed. */
async function altered(
  file: string, change: { drop?: string; shorten?: string; spoil?: string; metadata?: Record<string, string> },
): Promise<string> {
  await saved(file);
  const before = readSafetensors(file);
  const tensors = before.names().filter((name) => name !== change.drop).map((name) => {
    const { dtype, shape } = before.entry(name);
    if (name === change.spoil) return [name, { dtype, shape, data: before.float32(name).fill(NaN, 1, 2) }];
    if (name !== change.shorten) return [name, { dtype, shape, data: before.bytes(name) }];
    return [name, { dtype, shape: [1], data: before.bytes(name).slice(0, 4) }];
  });
  writeSafetensors(file, Object.fromEntries(tensors) as never, { ...before.metadata, ...change.metadata });
  return file;
}

describe('a checkpoint', () => {
  it('gives back parameters, both moments, the step and the events, bit for bit', async () => {
    const kept = await saved(at('run.safetensors'));
    const loaded = load(at('run.safetensors'));
    expect(loaded.events).toEqual(events);
    expect(loaded.optimizer.steps).toBe(3);
    expect(loaded.optimizer.exportState()).toEqual(kept.state);
    loaded.model.forEach((parameter, i) => {
      expect(parameter.values).toEqual(kept.model[i]!.values);
      expect(parameter.tensor().dataSync()).toEqual(parameter.values);
    });
  });

  it('keeps 8-bit moments as 8 bits', async () => {
    const file = at('eight.safetensors');
    const make = () => {
      const parameter = new Parameter('p', new Float32Array(4096), [64, 64]);
      return { parameter, optimizer: new AdamW([parameter], { ...adamwDefaults, optimizer: 'paged_adamw_8bit' }) };
    };
    const { parameter, optimizer } = make();
    optimizer.step([Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i))], 0.01);
    await saveCheckpoint(file, { parameters: [parameter] }, optimizer, fingerprint, events);
    expect(readSafetensors(file).entry('optimizer.p.m')).toMatchObject({ dtype: 'U8', shape: [4096] });
    const other = make();
    loadCheckpoint(file, { parameters: [other.parameter] }, other.optimizer, fingerprint);
    expect(other.parameter.values).toEqual(parameter.values);
    expect(other.optimizer.exportState()).toEqual(optimizer.exportState());
  });

  it('keeps what the method knows beyond its parameters', async () => {
    const file = at('method.safetensors');
    const trainable = (values: readonly number[]) =>
      ({ parameters: parameters(1), hooks: { state: new Map([['masks', Float32Array.from(values)]]) } });
    await saveCheckpoint(file, trainable([1, 0, 1]), new AdamW(parameters(1)), fingerprint, events);
    const resumed = trainable([1, 1, 1]);
    loadCheckpoint(file, resumed, new AdamW(resumed.parameters), fingerprint);
    expect([...resumed.hooks.state.get('masks')!]).toEqual([1, 0, 1]);
    const other = trainable([1, 1]);
    expect(userErrorOf(() => loadCheckpoint(file, other, new AdamW(other.parameters), fingerprint), file))
      .toContain('«method.masks» tiene 3 valores F32 y se esperaban 2 F32');
  });

  it('tells how far its run came, and of how many steps', async () => {
    const start: TrainEvent = {
      type: 'start', steps: 10, epochs: 1, examples: 10, batchSize: 1, accumulation: 1, effectiveBatch: 1, resumedAt: 0,
    };
    await saveCheckpoint(at('far.safetensors'), { parameters: [] }, new AdamW([]), fingerprint, [start]);
    expect(checkpointProgress(at('far.safetensors'))).toEqual({ step: 0, steps: 10 });
    expect(checkpointProgress(at('nowhere.safetensors'))).toBeUndefined();
  });

  it('without a step is not put over another', async () => {
    await saved(at('kept.safetensors'));
    await saveCheckpoint(at('kept.safetensors'), { parameters: [] }, new AdamW([]), fingerprint, []);
    expect(load(at('kept.safetensors')).optimizer.steps).toBe(3);
  });

  it('is one safetensors file', async () => {
    await saved(at('file.safetensors'));
    expect(readSafetensors(at('file.safetensors')).names().sort()).toEqual([
      'a', 'b', 'optimizer.a.m', 'optimizer.a.v', 'optimizer.b.m', 'optimizer.b.v',
    ]);
  });
});

describe('a checkpoint is refused, and nothing is changed,', () => {
  function refusal(file: string, print = fingerprint): string {
    const model = parameters(2);
    const message = userErrorOf(() => load(file, { model, print }), file);
    expect(model.map(({ values }) => values)).toEqual(parameters(2).map(({ values }) => values));
    expect(message).toContain('--resume');
    return message;
  }

  it('when there is none', () => {
    expect(refusal(at('none.safetensors'))).toContain('no hay ningún punto de control');
  });

  it('of a run with other options, each named with what it was and what it is', async () => {
    await saved(at('other.safetensors'));
    const now = { batchSize: 8, learningRate: 0.003, targetModules: ['q_proj'], template: 'en' };
    expect(refusal(at('other.safetensors'), JSON.stringify(now))).toContain(
      '(--batch-size: 16 → 8, --target-modules: ["q_proj","v_proj"] → ["q_proj"], --template: nada → en)');
  });

  it('of a run that had an option more', async () => {
    await saved(at('more.safetensors'));
    expect(refusal(at('more.safetensors'), JSON.stringify({ batchSize: 16, learningRate: 0.003 })))
      .toContain('--target-modules: ["q_proj","v_proj"] → nada');
  });

  it.each([
    ['step', { step: 'three' }],
    ['fingerprint', { fingerprint: '{' }],
    ['events', { events: '[{"type":"unheard-of"}]' }],
    ['events that are not JSON', { events: 'none' }],
  ])('without a sound %s', async (_what, metadata) => {
    expect(refusal(await altered(at('bad.safetensors'), { metadata }))).toContain('no es un punto de control de este programa');
  });

  it('when it is a safetensors file of something else', () => {
    writeSafetensors(at('weights.safetensors'), { a: { dtype: 'F32', shape: [1], data: Float32Array.of(1) } });
    expect(refusal(at('weights.safetensors'))).toContain('no es un punto de control de este programa');
  });

  it.each(['b', 'optimizer.a.v'])('when «%s» has another size', async (name) => {
    expect(refusal(await altered(at('short.safetensors'), { shorten: name }))).toContain(`«${name}» tiene 1 valores F32 y se esperaban 6 F32`);
  });

  it('when a tensor is missing', async () => {
    const file = await altered(at('less.safetensors'), { drop: 'optimizer.b.m' });
    expect(refusal(file)).toContain('«optimizer.b.m»');
  });

  it.each(['a', 'optimizer.b.v'])('when «%s» holds what is no number', async (name) => {
    const file = await altered(at('nan.safetensors'), { spoil: name });
    expect(refusal(file)).toContain(`«${name}» tiene valores que no son números`);
  });

  it.each([0, 4, 20, -1])('when it is cut at %d bytes', async (length) => {
    const file = at('cut.safetensors');
    await saved(file);
    writeFileSync(file, readFileSync(file).subarray(0, length));
    expect(refusal(file)).toContain('está dañado');
  });
});
