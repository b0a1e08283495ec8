import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/model/load.ts';
import { addAdaLora } from '../../src/peft/adalora.ts';
import type { AdaLora, AdaLoraOptions } from '../../src/peft/adalora.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { budgetAt } from '../../src/peft/rank-allocator.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { AdamW } from '../../src/train/adamw.ts';
import { train } from '../../src/train/train.ts';
import type { TrainOptions } from '../../src/train/train.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase, tinyExamples, tinyTokenizer } from '../tiny.ts';

beforeAll(() => useBackend('wasm'));
const at = temporaryFolder();
const golden = join(import.meta.dirname, '../golden');

/** Of PEFT 0.21.0 over 100 steps: see `make.py` beside the file. */
const schedules = JSON.parse(readFileSync(join(golden, 'adalora/schedules.json'), 'utf8')) as {
  options: Record<'init_r' | 'target_r' | 'tinit' | 'tfinal' | 'deltaT', number> & { beta1?: number; beta2?: number };
  masks: Record<string, string>;
  singular: number[];
}[];

/** The script's formula: what a parameter has at every step, and something of the step's own. */
function number(parameter: number, step: number, length: number): Float32Array {
  const fraction = (i: number) => (i % 65521) / 65521 - 0.5;
  return Float32Array.from({ length }, (_, i) => (fraction(i * 104729 + parameter * 7919)
    + 0.5 * fraction(i * 15485863 + parameter * 32452843 + step * 49979687)) * (1 + parameter % 5));
}

const digits = ({ masks }: AdaLora) => [...masks.values()].flatMap((mask) => [...mask]).join('');

describe('the masks of PEFT, step by step, over a schedule of 100', () => {
  it.each(schedules)('$options', ({ options: o, masks, singular }) => {
    const { adapter, parameters } = addAdaLora(loadModel(join(golden, 'adapters/base')), {
      r: o.target_r, initR: o.init_r, tinit: o.tinit, tfinal: o.tfinal, deltaT: o.deltaT,
      ...(o.beta1 !== undefined && { beta1: o.beta1 }), ...(o.beta2 !== undefined && { beta2: o.beta2 }),
    });
    parameters.forEach(({ name, values }, i) => {
      if (!name.endsWith('.lora_E')) values.set(number(i, 0, values.length).map((value) => 0.05 * value));
    });
    const optimizer = new AdamW(parameters);
    adapter.hooks.start(100);
    const none = '1'.repeat(digits(adapter).length);
    for (let step = 1; step <= 100; step++) {
      const gradients = parameters.map(({ values }, i) => number(i, step, values.length));
      optimizer.step(gradients, 0.01);
      adapter.hooks.afterStep(step, gradients);
      expect(digits(adapter), `step ${step}`).toBe(masks[step] ?? none);
    }
    optimizer.close();
    const found = parameters.filter(({ name }) => name.endsWith('.lora_E')).flatMap(({ values }) => [...values]);
    found.forEach((value, i) => expect(value).toBeCloseTo(singular[i]!, 5));
    expect(found.filter((value) => value !== 0)).toHaveLength(o.target_r * adapter.targets.size);
  });
});

describe('the budget', () => {
  const phases = { totalSteps: 100, tinit: 10, tfinal: 30 };

  it('is the first one until tinit, the last one in the last tfinal steps, and falls with a cube between them', () => {
    const at = (step: number) => budgetAt(step, [800, 200], phases);
    expect([1, 10].map(at)).toEqual([800, 800]);
    expect(at(40)).toBe(200 + 600 / 8); // half of the way
    expect([70, 71, 100].map(at)).toEqual([200, 200, 200]);
    for (let step = 11; step <= 70; step++) expect(at(step)).toBeLessThanOrEqual(at(step - 1));
    expect(at(11)).toBeLessThan(800);
  });

  it('wants room between its phases, and an allocation that a step came before', () => {
    const start = (options: Partial<AdaLoraOptions>, steps: number) => () =>
      addAdaLora(tinyBase(), { r: 1, ...options }).adapter.hooks.start(steps);
    expect(userErrorOf(start({ tinit: 6, tfinal: 4 }, 10), '--tinit (6)')).toContain('los --tfinal últimos (4), y en 10');
    userErrorOf(start({}, 1), '--tfinal');
    for (const [options, steps] of [[{}, 2], [{}, 3], [{ tinit: 5, tfinal: 4 }, 10]] as const) start(options, steps)();
  });

  it('is the first one for a tenth of the run and the last one for three tenths, where nothing else is said', () => {
    const { hooks } = addAdaLora(tinyBase(), { r: 1 }).adapter;
    hooks.start(109);
    expect(hooks.phases).toEqual({ totalSteps: 109, tinit: 10, tfinal: 32 });
  });
});

describe('an allocation', () => {
  function allocating() {
    const model = addAdaLora(tinyBase(), { r: 1, initR: 4, tinit: 1, tfinal: 2, deltaT: 2, targetModules: ['q_proj'] });
    model.adapter.hooks.start(8);
    const random = new Random(4);
    for (const { values } of model.parameters) values.forEach((_, i) => (values[i] = random.normal()));
    const step = (number: number) => model.adapter.hooks.afterStep(
      number, model.parameters.map(({ values }) => Float32Array.from(values, () => random.normal())));
    return { ...model, step };
  }
  const kept = (adapter: AdaLora) => digits(adapter).replaceAll('0', '').length;

  it('comes at the steps that deltaT divides, counted from the run\'s beginning, and at the last that looks', () => {
    const { adapter, step } = allocating();
    const ranks = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => {
      step(number);
      return kept(adapter);
    });
    expect(ranks).toEqual([8, 5, 5, 2, 2, 2, 2, 2]); // 2 + 6 · (4/5)³ = 5.07, 2 + 6 · (2/5)³ = 2.38
  });

  it('is the last that looks at gradients: from then on the importance stays as it is', () => {
    const { adapter, step } = allocating();
    for (let number = 1; number <= 5; number++) step(number);
    const importance = () => [...adapter.hooks.state].filter(([name]) => !name.endsWith('.mask'))
      .map(([, values]) => values.slice());
    const before = importance();
    for (let number = 6; number <= 8; number++) {
      step(number);
      expect(importance()).toEqual(before);
    }
  });

  it('leaves on the device what it leaves on the host', () => {
    const { parameters, step } = allocating();
    for (let number = 1; number <= 6; number++) {
      for (const parameter of parameters) parameter.tensor(); // there before the step is over
      step(number);
    }
    for (const parameter of parameters.filter(({ name }) => name.endsWith('.lora_E'))) {
      expect([...parameter.values]).toContain(0);
      expect(parameter.tensor().dataSync()).toEqual(parameter.values);
    }
  });
});

describe('the penalty', () => {
  it('has the gradients of weight · mean of ‖PPᵀ − I‖ over all A and B, and none for the rest', () => {
    const orthRegWeight = 0.7;
    const { adapter, parameters } = addAdaLora(tinyBase(), { r: 2, orthRegWeight, targetModules: ['q_proj', 'down_proj'] });
    const matrices = parameters.filter(({ name }) => !name.endsWith('.lora_E'));
    const value = () => orthRegWeight / matrices.length * matrices.reduce((sum, { name, values, shape }) => {
      const [rows, columns] = shape as [number, number];
      const isA = name.endsWith('.lora_A');
      const [r, length] = isA ? [rows, columns] : [columns, rows];
      const at = (i: number, j: number) => values[isA ? i * columns + j : j * columns + i]!;
      let square = 0;
      for (let i = 0; i < r; i++) {
        for (let k = 0; k < r; k++) {
          let dot = i === k ? -1 : 0;
          for (let j = 0; j < length; j++) dot += at(i, j) * at(k, j);
          square += dot * dot;
        }
      }
      return sum + Math.sqrt(square);
    }, 0);
    adapter.hooks.penalty().forEach((gradient, i) => {
      const { name, values } = parameters[i]!;
      for (const j of [0, 1, values.length - 1]) {
        const [kept, h] = [values[j]!, 1e-2];
        values[j] = kept + h;
        const above = value();
        values[j] = kept - h;
        const below = value();
        values[j] = kept;
        expect(gradient[j], `${name}[${j}]`).toBeCloseTo((above - below) / (2 * h), 3);
      }
    });
  });

  it('of what is orthogonal is zero, and of no weight too', () => {
    const { adapter, parameters } = addAdaLora(tinyBase(), { r: 1, targetModules: ['q_proj'] });
    for (const { values, shape } of parameters) {
      const [rows, columns] = shape as [number, number];
      values.forEach((_, i) => (values[i] = Math.floor(i / columns) === i % columns && rows !== columns ? 1 : 0));
    }
    parameters.forEach((parameter) => parameter.upload());
    for (const gradient of adapter.hooks.penalty()) expect([...gradient].every((value) => value === 0)).toBe(true);
    const off = addAdaLora(tinyBase(), { r: 1, orthRegWeight: 0 }).adapter.hooks.penalty();
    expect(off.every((gradient) => gradient.every((value) => value === 0))).toBe(true);
  });
});

describe('a training', () => {
  const options: Partial<TrainOptions> = {
    batchSize: 4, epochs: 2, learningRate: 0.02, pageBytes: 512, residentBytes: 1024,
  };
  const data = { tokenizer: tinyTokenizer, train: tinyExamples(20), heldOut: [] };
  const model = () => addAdaLora(tinyBase(), { r: 2, initR: 4, tinit: 1, tfinal: 3, dropout: 0.1 });

  async function run(trainable: PeftModel<AdaLora>, more: Partial<TrainOptions> = {}, stopAfter = Infinity) {
    const interruption = new AbortController();
    const losses: number[] = [];
    for await (const event of train(trainable, data, { ...options, ...more, signal: interruption.signal })) {
      if (event.type === 'step' && event.step === stopAfter) interruption.abort();
      if (event.type === 'step') losses.push(event.loss);
    }
    return losses;
  }

  it('ends at the target rank, the same in the mean over the layers and not in each', async () => {
    const trained = model();
    await run(trained);
    const ranks = [...trained.adapter.masks.values()].map((mask) => mask.filter((kept) => kept === 1).length);
    expect(ranks.reduce((a, b) => a + b)).toBe(2 * ranks.length);
    expect(new Set(ranks).size).toBeGreaterThan(1);
    trained.parameters.filter(({ name }) => name.endsWith('.lora_E')).forEach(({ name, values }) => {
      const mask = trained.adapter.masks.get(name.replace('.lora_E', ''))!;
      values.forEach((value, i) => expect(value !== 0).toBe(mask[i] === 1));
    });
  });

  it.each([3, 5, 8])('that stops after %d steps goes on to the same losses, masks and values', async (stop) => {
    const whole = model();
    const losses = await run(whole);
    const checkpointFile = at(`resumed-${stop}.safetensors`);
    await run(model(), { checkpointFile }, stop);
    const resumed = model();
    expect(await run(resumed, { checkpointFile, resume: true })).toEqual(losses);
    expect(digits(resumed.adapter)).toBe(digits(whole.adapter));
    expect(resumed.parameters.map(({ values }) => values)).toEqual(whole.parameters.map(({ values }) => values));
  });
});
