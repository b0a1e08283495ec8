import { beforeAll, describe, expect, it } from 'vitest';
import { Parameter } from '../../src/model/weights.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { AdamW, adamwDefaults } from '../../src/train/adamw.ts';
import type { AdamWOptions } from '../../src/train/adamw.ts';

beforeAll(() => useBackend('cpu'));

const shapes = [[3, 5], [7], [2, 4]];

function parameters(): Parameter[] {
  const random = new Random(1);
  return shapes.map((shape, i) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return new Parameter(`p${i}`, Float32Array.from({ length: size }, () => random.normal()), shape);
  });
}

/** Gradients of one step: far apart in size, so that only a true second moment evens them out. */
function gradientsOf(step: number): Float32Array[] {
  const random = new Random(100 + step);
  return parameters().map(({ values }, i) => Float32Array.from(values, () => random.normal() * 10 ** (i - 1)));
}

/** Algorithm 2 of Loshchilov and Hutter (2019), word for word, in float64. */
function textbook(steps: number, rate: number, o: AdamWOptions, scale = 1): number[][] {
  return parameters().map(({ values }, p) => Array.from(values, (start, i) => {
    let [theta, m, v] = [start, 0, 0];
    for (let t = 1; t <= steps; t++) {
      const g = gradientsOf(t)[p]![i]! * scale;
      m = o.beta1 * m + (1 - o.beta1) * g;
      v = o.beta2 * v + (1 - o.beta2) * g ** 2;
      const mHat = m / (1 - o.beta1 ** t);
      const vHat = v / (1 - o.beta2 ** t);
      theta = theta - rate * o.weightDecay * theta - rate * mHat / (Math.sqrt(vHat) + o.epsilon);
    }
    return theta;
  }));
}

function run(steps: number, rate: number, options: Partial<AdamWOptions>, scale?: number) {
  const model = parameters();
  const optimizer = new AdamW(model, { ...adamwDefaults, ...options });
  for (let step = 1; step <= steps; step++) optimizer.step(gradientsOf(step), rate, scale);
  const { stats } = optimizer;
  const state = optimizer.exportState();
  optimizer.close();
  return { values: model.map(({ values }) => values), state, stats };
}

function largestDifference(a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]): number {
  return Math.max(...a.flatMap((values, p) => Array.from(values, (value, i) => Math.abs(value - b[p]![i]!))));
}

describe('AdamW', () => {
  it.each([0, 0.1])('follows the textbook for twenty steps (weight decay %d)', (weightDecay) => {
    const options = { ...adamwDefaults, weightDecay };
    expect(largestDifference(run(20, 0.01, options).values, textbook(20, 0.01, options))).toBeLessThan(2e-6);
  });

  it('corrects the bias: the first step is of the size of the rate, whatever the gradient', () => {
    const before = parameters().map(({ values }) => values);
    run(1, 0.01, {}).values.forEach((values, p) => values.forEach((value, i) => {
      expect(before[p]![i]! - value).toBeCloseTo(0.01 * Math.sign(gradientsOf(1)[p]![i]!), 5);
    }));
  });

  it('decays weights apart from the gradient: without one, they shrink by rate times decay and no more', () => {
    const model = parameters();
    const optimizer = new AdamW(model, { ...adamwDefaults, weightDecay: 0.1 });
    optimizer.step(model.map(({ values }) => new Float32Array(values.length)), 0.5);
    optimizer.close();
    parameters().forEach(({ values }, p) => values.forEach((value, i) => {
      expect(model[p]!.values[i]!).toBeCloseTo(value * 0.95, 6);
    }));
  });

  it('scales the gradients first, as clipping asks', () => {
    const options = { ...adamwDefaults, epsilon: 1e-2 }; // large, so that the scale shows
    const scaled = run(5, 0.01, options, 0.01).values;
    expect(largestDifference(scaled, textbook(5, 0.01, options, 0.01))).toBeLessThan(1e-6);
    expect(largestDifference(scaled, textbook(5, 0.01, options))).toBeGreaterThan(1e-3);
  });

  it('gives a parameter\'s new values to the tensors made after', () => {
    const model = parameters();
    const before = model[0]!.tensor().dataSync().slice();
    const optimizer = new AdamW(model);
    optimizer.step(gradientsOf(1), 0.1);
    expect(model[0]!.tensor().dataSync()).toEqual(model[0]!.values);
    expect(model[0]!.values).not.toEqual(before);
    optimizer.close();
  });
});

describe('paged', () => {
  const unpaged = run(12, 0.01, { weightDecay: 0.1, residentBytes: Number.MAX_SAFE_INTEGER });

  // 30 parameters in stretches of 4: no page holds a whole parameter, and some hold ends of two.
  it.each([1, 2, 3])('it is equal to unpaged, bit for bit, with room for %d pages', (pages) => {
    const paged = run(12, 0.01, { weightDecay: 0.1, pageBytes: 32, residentBytes: 32 * pages });
    expect(paged.values).toEqual(unpaged.values);
    expect(paged.state).toEqual(unpaged.state);
    expect(paged.stats).toMatchObject({ pages: 8, totalBytes: 8 * 32, residentBytes: 32 * pages });
    expect(paged.stats.pageIns).toBeGreaterThanOrEqual(12 * (8 - pages) - 8);
    expect(unpaged.stats.pageIns).toBe(0);
  });
});

describe('its state', () => {
  it('put into another optimizer, of other pages, goes on to the same values bit for bit', () => {
    const whole = run(10, 0.01, {});
    const model = parameters();
    const first = new AdamW(model);
    for (let step = 1; step <= 4; step++) first.step(gradientsOf(step), 0.01);
    const second = new AdamW(model, { ...adamwDefaults, pageBytes: 32, residentBytes: 32 });
    second.importState(first.exportState(), first.steps);
    first.close();
    for (let step = 5; step <= 10; step++) second.step(gradientsOf(step), 0.01);
    expect(second.steps).toBe(10);
    expect(model.map(({ values }) => values)).toEqual(whole.values);
    second.close();
  });
});
