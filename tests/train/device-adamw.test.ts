import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Parameter, settle } from '../../src/model/weights.ts';
import type { TrainingHooks } from '../../src/peft/trainable.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { lowerBindingBytes } from '../../src/tensor/webgpu/device.ts';
import { AdamW, adamwDefaults } from '../../src/train/adamw.ts';
import { loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.ts';
import { DeviceAdamW } from '../../src/train/device-adamw.ts';
import { makeOptimizer } from '../../src/train/make-optimizer.ts';
import type { OptimizerOptions } from '../../src/train/make-optimizer.ts';
import { temporaryFolder } from '../temporary.ts';
import { hasAdapter, why } from '../tensor/webgpu/adapter.ts';
import { stayWithinBounds } from '../tensor/webgpu/bounds.ts';

const at = temporaryFolder();

/** Odd sizes; and one past what a workgroup sums at a time. */
const shapes = [[1], [3, 5], [7, 129], [16, 64], [601, 111]];
/** Decay leaves the first and the third alone. */
const names = ['q_proj.bias', 'q_proj.weight', 'input_layernorm.weight', 'k_proj.weight', 'lm_head.weight'];

function parameters(): Parameter[] {
  const random = new Random(1);
  return shapes.map((shape, i) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return new Parameter(names[i]!, Float32Array.from({ length: size }, () => random.normal()), shape);
  });
}

/** Of one micro-batch: far apart in size from tensor to tensor, and none for the last rows of one. */
function gradientsOf(step: number, micro = 0): Float32Array[] {
  const random = Random.for(100, step, micro);
  return parameters().map(({ values }, i) =>
    values.map((_, at) => (i === 3 && at > 500 ? 0 : random.normal() * 10 ** (i - 3))));
}

const tensors = (gradients: readonly Float32Array[]) => gradients.map((gradient, i) => tf.tensor(gradient, shapes[i]));

/** Relative to the largest value of the reference. */
function difference(found: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[]): number {
  return Math.max(...expected.map((values, i) => {
    expect(found[i]).toHaveLength(values.length);
    let [worst, largest] = [0, 0];
    for (let at = 0; at < values.length; at++) {
      worst = Math.max(worst, Math.abs(found[i]![at]! - values[at]!));
      largest = Math.max(largest, Math.abs(values[at]!));
    }
    return worst / largest;
  }));
}

const steps = 6;
const rate = 0.02;

/** The same steps on the host, each by the sum of two micro-batches. */
function onHost(options: { weightDecay: number }, scale: number) {
  const model = parameters();
  const start = model.map(({ values }) => values.slice());
  const adamw = new AdamW(model, { ...adamwDefaults, ...options });
  for (let step = 1; step <= steps; step++) {
    const [first, second] = [gradientsOf(step), gradientsOf(step, 1)];
    adamw.step(first.map((gradient, i) => gradient.map((g, at) => g + second[i]![at]!)), rate, scale);
  }
  const state = adamw.exportState();
  adamw.close();
  return { moved: model.map(({ values }, i) => values.map((value, at) => value - start[i]![at]!)), state, start };
}

describe.runIf(hasAdapter)(`AdamW on the device${why}`, () => {
  beforeAll(() => useBackend('webgpu'));
  stayWithinBounds();
  afterEach(() => lowerBindingBytes(Infinity));

  it.each([
    { weightDecay: 0, scale: 1, most: Infinity }, { weightDecay: 0.1, scale: 0.03, most: Infinity },
    { weightDecay: 0.1, scale: 1, most: 4 * 1001 }, // in parts that end within tensors
  ])('is the host\'s, in what it makes of parameters and moments: %o', async ({ weightDecay, scale, most }) => {
    lowerBindingBytes(most);
    const model = parameters();
    const held = tf.memory().numTensors;
    const optimizer = new DeviceAdamW(model, { ...adamwDefaults, weightDecay });
    for (let step = 1; step <= steps; step++) {
      await optimizer.add(tensors(gradientsOf(step)));
      await optimizer.add(tensors(gradientsOf(step, 1)));
      optimizer.step(rate, scale);
    }
    const reference = onHost({ weightDecay }, scale);
    await settle(model);
    const moved = model.map(({ values }, i) => values.map((value, at) => value - reference.start[i]![at]!));
    expect(difference(moved, reference.moved)).toBeLessThan(1e-4);
    const state = await optimizer.exportState();
    expect([...state.keys()]).toEqual([...reference.state.keys()]);
    expect(difference([...state.values()], [...reference.state.values()])).toBeLessThan(1e-4);
    await optimizer.close();
    model.forEach((parameter) => parameter.dispose());
    expect(tf.memory().numTensors).toBe(held);
  });

  it('tells the norm of the sum', async () => {
    const optimizer = new DeviceAdamW(parameters(), adamwDefaults);
    await optimizer.add(tensors(gradientsOf(1)));
    await optimizer.add(tensors(gradientsOf(1, 1)));
    const second = gradientsOf(1, 1);
    const squares = gradientsOf(1).map((gradient, i) =>
      gradient.reduce((sum, g, at) => sum + (g + second[i]![at]!) ** 2, 0));
    const norm = Math.sqrt(squares.reduce((a, b) => a + b));
    expect(Math.abs(await optimizer.norm() / norm - 1)).toBeLessThan(1e-5);
    await optimizer.close();
  });

  it.each([NaN, Infinity])('tells of a %d anywhere in it', async (value) => {
    const optimizer = new DeviceAdamW(parameters(), adamwDefaults);
    const gradients = gradientsOf(1);
    gradients[4]![40_001] = value;
    await optimizer.add(tensors(gradients));
    expect(await optimizer.norm()).not.toBeLessThan(Infinity);
    await optimizer.close();
  });

  it('takes a step back', async () => {
    const model = parameters();
    const optimizer = new DeviceAdamW(model, adamwDefaults);
    expect(optimizer.undo()).toBe(0);
    const step = async () => {
      await optimizer.add(tensors(gradientsOf(optimizer.steps + 1)));
      optimizer.step(rate);
      return model.map(({ values }) => values.slice());
    };
    const [first, second] = [await step(), await step()];
    expect(difference(first, second)).toBeGreaterThan(1e-3);
    expect(optimizer.undo()).toBe(1);
    expect(model.map(({ values }) => values)).toEqual(first);
    await optimizer.close();
  });

  it('goes on from what the host kept, and the host from what it kept', async () => {
    const host = () => makeOptimizer(parameters(), { residentBytes: 64 * 1024 });
    const device = () => makeOptimizer(parameters());
    const after = async (from: typeof host, to: typeof host) => {
      const [first, second] = [from(), to()];
      await first.add(tensors(gradientsOf(1)));
      first.step(rate);
      second.importState(await first.exportState(), first.steps);
      await second.add(tensors(gradientsOf(2)));
      second.step(rate);
      const state = await second.exportState();
      await first.close();
      await second.close();
      return [...state.values()];
    };
    const expected = await after(host, host);
    expect(difference(await after(host, device), expected)).toBeLessThan(1e-5);
    expect(difference(await after(device, host), expected)).toBeLessThan(1e-5);
  });

  it('keeps a checkpoint that the host resumes from, and resumes from the host\'s', async () => {
    const host = (model: Parameter[]) => makeOptimizer(model, { residentBytes: 64 * 1024 });
    const device = (model: Parameter[]) => makeOptimizer(model);
    for (const [name, from, to] of [['device', device, host], ['host', host, device]] as const) {
      const file = at(`${name}.safetensors`);
      const [kept, resumed] = [parameters(), parameters()];
      resumed.forEach(({ values }) => values.fill(0));
      const [before, after] = [from(kept), to(resumed)];
      await before.add(tensors(gradientsOf(1)));
      before.step(rate);
      await saveCheckpoint(file, { parameters: kept }, before, '{}', []);
      loadCheckpoint(file, { parameters: resumed }, after, '{}');
      expect(after.steps).toBe(1);
      expect(resumed.map(({ values }) => values)).toEqual(kept.map(({ values }) => values));
      expect(await after.exportState()).toEqual(await before.exportState());
      await before.close();
      await after.close();
    }
  });

  it('is left to the host in 8 bits, where pages are asked for, and for a method that looks at gradients', async () => {
    const isOnDevice = async (options?: OptimizerOptions, hooks?: TrainingHooks) => {
      const optimizer = makeOptimizer(parameters(), options, hooks);
      await optimizer.close();
      return optimizer instanceof DeviceAdamW;
    };
    const bytes = 8 * parameters().reduce((sum, { values }) => sum + values.length, 0);
    expect(await isOnDevice()).toBe(true);
    expect(await isOnDevice({ residentBytes: bytes }, { consistent: true })).toBe(true);
    expect(await isOnDevice({ residentBytes: bytes - 1 })).toBe(false);
    expect(await isOnDevice({ optimizer: 'paged_adamw_8bit' })).toBe(false);
    expect(await isOnDevice({}, { penalty: () => [] })).toBe(false);
    expect(await isOnDevice({}, { afterStep: () => {} })).toBe(false);
  });

  it('leaves the host\'s copies behind until they are asked for: one by one, or all by one wait', async () => {
    const model = parameters();
    const optimizer = new DeviceAdamW(model, adamwDefaults);
    const arrays = model.map(({ values }) => values);
    const step = async () => {
      await optimizer.add(tensors(gradientsOf(1)));
      optimizer.step(rate);
    };
    await step();
    expect(model.map(({ ahead }) => ahead !== undefined)).toEqual(model.map(() => true));
    expect(model[1]!.values).toEqual(model[1]!.tensor().dataSync());
    expect(model[1]!.ahead).toBeUndefined();
    await settle(model);
    await step();
    await settle(model);
    expect(model.every(({ ahead }) => ahead === undefined)).toBe(true);
    model.forEach((parameter, i) => {
      expect(parameter.values).toBe(arrays[i]);
      expect(parameter.values).toEqual(parameter.tensor().dataSync());
    });
    await optimizer.close();
  });
});
