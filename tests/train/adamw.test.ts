import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { Parameter } from '../../src/model/weights.ts';
import { DYNAMIC_MAP } from '../../src/quant/codebooks.ts';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { AdamW, adamwDefaults, clipScale, optimizerNames } from '../../src/train/adamw.ts';
import type { AdamWOptions, OptimizerName } from '../../src/train/adamw.ts';
import { testBackend } from '../backend.ts';

beforeAll(() => useBackend(testBackend('cpu')));

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

  it.each(optimizerNames)('leaves norms and biases alone, as transformers does: %s', (optimizer) => {
    const names = [
      'model.layers.0.input_layernorm.weight', 'model.norm.weight', 'model.layers.0.self_attn.q_norm.weight',
      'model.layers.0.self_attn.q_proj.bias',
    ];
    const others = [
      'model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight', 'model.norms.weight',
      'base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector',
    ];
    const model = [...names, ...others].map((name) => new Parameter(name, Float32Array.of(2, 4), [2]));
    const adamw = new AdamW(model, { ...adamwDefaults, optimizer, weightDecay: 0.1 });
    adamw.step(model.map(() => new Float32Array(2)), 0.5);
    adamw.close();
    for (const { name, values } of model) {
      expect([name, values[1]! / 4]).toEqual([name, names.includes(name) ? 1 : expect.closeTo(0.95, 6) as number]);
    }
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

describe('ten steps as the reference makes them (tests/golden/optimizer)', () => {
  const golden = readSafetensors(join(import.meta.dirname, '../golden/optimizer/steps.safetensors'));

  /** The numbers of make.py: gradients of step t, or for t = 0 the parameters. */
  const values = (n: number, t: number) => Float32Array.from({ length: n }, (_, i) =>
    ((i * i * 31 + t * t * 7919 + i * t * 104729) % 1009 - 504) / 512 * 2 ** -(Math.floor(i / 64) % 12));

  function golden10(optimizer: OptimizerName, n: number, afterStep: (values: Float32Array, step: number) => void) {
    const parameter = new Parameter('p', values(n, 0), [n]);
    const adamw = new AdamW([parameter], { ...adamwDefaults, optimizer, weightDecay: 0.1, pageBytes: 2048 });
    for (let step = 1; step <= 10; step++) {
      adamw.step([values(n, step)], 0.01);
      afterStep(parameter.values, step);
    }
    const state = adamw.exportState();
    adamw.close();
    return { values: parameter.values, state };
  }

  /** In units of the larger of the two arrays' largest magnitude. */
  const relative = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    largestDifference([a], [b]) / Math.max(...Array.from(b, Math.abs));

  it('in 32 bits: torch.optim.AdamW', () => {
    const reference = golden.float32('32bit.p');
    const { state } = golden10('paged_adamw_32bit', 150, (p, step) => {
      expect(relative(p, reference.subarray(150 * (step - 1), 150 * step)), `step ${step}`).toBeLessThan(1e-6);
    });
    for (const moment of ['m', 'v']) {
      expect(relative(state.get(`p.${moment}`)!, golden.float32(`32bit.${moment}`))).toBeLessThan(1e-6);
    }
  });

  // Float64 within an operation here, float32 there: one moment of 87,920 lies so near the middle of two codes.
  it('in 8 bits: the codes and scales of the moments, and the parameters that they give', () => {
    const { values, state } = golden10('paged_adamw_8bit', 4396, () => {});
    const reference = golden.float32('8bit.4396.p');
    expect(values.filter((value, i) => Math.abs(value - reference[i]!) > 1e-6).length).toBeLessThanOrEqual(1);
    for (const moment of ['m', 'v']) {
      const codes = golden.bytes(`8bit.4396.${moment}`);
      const off = Array.from(state.get(`p.${moment}`)!, (code, i) => Math.abs(code - codes[i]!)).filter((by) => by > 0);
      expect([[], [1]]).toContainEqual(off);
      expect(relative(state.get(`p.${moment}.absmax`)!, golden.float32(`8bit.4396.${moment}.absmax`))).toBeLessThan(1e-6);
    }
  });

  it('in 8 bits, of a tensor so small that its moments stay wide', () => {
    const { values, state } = golden10('paged_adamw_8bit', 300, () => {});
    expect(relative(values, golden.float32('8bit.300.p'))).toBeLessThan(1e-6);
    for (const moment of ['m', 'v']) {
      expect(relative(state.get(`p.${moment}`)!, golden.float32(`8bit.300.${moment}`))).toBeLessThan(1e-6);
    }
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

  it('keeps no page that goes beyond the bytes that may stay', () => {
    expect(run(2, 0.01, { pageBytes: 32, residentBytes: 32 * 3 - 1 }).stats.residentBytes).toBe(32 * 2);
  });
});

describe('clipping', () => {
  it('scales as PyTorch\'s clip_grad_norm_: by most / (norm + 1e-6), and never up', () => {
    expect(clipScale(2, 1)).toBe(1 / (2 + 1e-6));
    expect(clipScale(0.5, 1)).toBe(1);
    expect(clipScale(0, 1)).toBe(1);
    expect(clipScale(1, 1)).toBe(1 / (1 + 1e-6)); // where the norm is just the largest, too
  });
});

describe('in 8 bits', () => {
  const lengths = [5000, 4095, 4096];
  const make = (options: Partial<AdamWOptions> = {}) => {
    const random = new Random(7);
    const model = lengths.map((length, i) =>
      new Parameter(`p${i}`, Float32Array.from({ length }, () => random.normal()), [length]));
    return { model, optimizer: new AdamW(model, { ...adamwDefaults, optimizer: 'paged_adamw_8bit', ...options }) };
  };
  const gradients = (step: number) => {
    const random = new Random(100 + step);
    return lengths.map((length) => Float32Array.from({ length }, () => random.normal()));
  };
  const steps = (optimizer: AdamW, from: number, to: number) => {
    for (let step = from; step <= to; step++) optimizer.step(gradients(step), 0.01);
  };

  it('holds a byte a moment and a scale a block, but for tensors under 4,096', () => {
    const { optimizer } = make();
    expect(optimizer.stateArrays).toEqual([
      { name: 'p0.m.absmax', dtype: 'F32', length: 20 }, { name: 'p0.v.absmax', dtype: 'F32', length: 20 },
      { name: 'p0.m', dtype: 'U8', length: 5000 }, { name: 'p0.v', dtype: 'U8', length: 5000 },
      { name: 'p1.m', dtype: 'F32', length: 4095 }, { name: 'p1.v', dtype: 'F32', length: 4095 },
      { name: 'p2.m.absmax', dtype: 'F32', length: 16 }, { name: 'p2.v.absmax', dtype: 'F32', length: 16 },
      { name: 'p2.m', dtype: 'U8', length: 4096 }, { name: 'p2.v', dtype: 'U8', length: 4096 },
    ]);
  });

  it('has the code of zero for a moment of a gradient that is zero', () => {
    const { optimizer } = make();
    optimizer.step(lengths.map((length) => new Float32Array(length)), 0.01);
    const state = optimizer.exportState();
    expect(new Set(state.get('p0.m'))).toEqual(new Set([DYNAMIC_MAP.indexOf(0)]));
    expect(new Set(state.get('p0.v'))).toEqual(new Set([0]));
  });

  it('fills a quarter of the pages', () => {
    const pages = (optimizer: OptimizerName) =>
      new AdamW([new Parameter('p', new Float32Array(1 << 18), [1 << 18])], { ...adamwDefaults, optimizer }).stats.pages;
    expect(pages('paged_adamw_32bit')).toBe(32); // 8 bytes a parameter, in pages of 64 KiB
    expect(pages('paged_adamw_8bit')).toBe(9); // 2 bytes, and 8 for every 256
  });

  it('does not depend on the pages, bit for bit', () => {
    const [whole, paged] = [make(), make({ pageBytes: 1024, residentBytes: 3 * 1024 })];
    steps(whole.optimizer, 1, 3);
    steps(paged.optimizer, 1, 3);
    expect(paged.model.map(({ values }) => values)).toEqual(whole.model.map(({ values }) => values));
    expect(paged.optimizer.exportState()).toEqual(whole.optimizer.exportState());
    expect(paged.optimizer.stats.pageIns).toBeGreaterThan(0);
    paged.optimizer.close();
  });

  it('goes on from an exported state to the same values, bit for bit', () => {
    const [whole, parted] = [make(), make()];
    steps(whole.optimizer, 1, 4);
    steps(parted.optimizer, 1, 2);
    const second = new AdamW(parted.model, { ...adamwDefaults, optimizer: 'paged_adamw_8bit', pageBytes: 4096 });
    second.importState(parted.optimizer.exportState(), 2);
    steps(second, 3, 4);
    expect(parted.model.map(({ values }) => values)).toEqual(whole.model.map(({ values }) => values));
  });

  it('steps nearly as in 32 bits', () => {
    const [eight, wide] = [make(), make({ optimizer: 'paged_adamw_32bit' })];
    const start = wide.model[0]!.values.slice();
    steps(eight.optimizer, 1, 5);
    steps(wide.optimizer, 1, 5);
    const moved = Math.hypot(...wide.model[0]!.values.map((value, i) => value - start[i]!));
    const apart = Math.hypot(...wide.model[0]!.values.map((value, i) => value - eight.model[0]!.values[i]!));
    expect(apart / moved).toBeLessThan(0.05);
    expect(apart).toBeGreaterThan(0);
  });

  it('keeps the sign of a moment too small for a code, and a block of zeros at zero', () => {
    const parameter = new Parameter('p', new Float32Array(4096), [4096]);
    const optimizer = new AdamW([parameter], { ...adamwDefaults, optimizer: 'paged_adamw_8bit' });
    const gradient = new Float32Array(4096);
    gradient.set([1, -1e-9, 1e-9]); // the smallest codes are ±5.5e-7
    optimizer.step([gradient], 0.01);
    const state = optimizer.exportState();
    expect([...state.get('p.m')!.slice(0, 4)]).toEqual([255, 126, 127, 127]);
    expect([...state.get('p.v')!.slice(0, 4)]).toEqual([255, 0, 0, 0]);
    expect([...state.get('p.m.absmax')!.slice(0, 2)]).toEqual([Math.fround(0.1), 0]);
    const before = parameter.values.slice(256);
    optimizer.step([gradient], 0.01);
    expect(parameter.values.slice(256)).toEqual(before);
  });

  it('refuses a page in which no block fits', () => {
    expect(() => make({ pageBytes: 512 })).toThrow(RangeError);
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
