import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { float32Of, readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { loadModel } from '../../src/model/load.ts';
import { combineFolders } from '../../src/peft/combine-folders.ts';
import { combineAdapters, combineDefaults } from '../../src/peft/combine.ts';
import type { CombineOptions, Combination } from '../../src/peft/combine.ts';
import { loadAdapter, loadLora, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Lora, LoraOptions } from '../../src/peft/lora.ts';
import { matrix, multiply } from '../../src/peft/svd.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';
import { tinyBase } from '../tiny.ts';

/** Adapters, and what PEFT 0.21.0 makes of them: see `make.py` beside them. */
const golden = join(import.meta.dirname, '../golden/combinations');
const reference = readSafetensors(join(golden, 'reference.safetensors'));
const at = temporaryFolder();

beforeAll(() => useBackend(testBackend('cpu')));

const loadBase = () => loadModel(join(golden, '../adapters/base'));
const load = (names: string[]) => names.map((name) => loadLora(loadBase(), join(golden, name)));

/** s · B · A of a layer. */
function update(adapter: Lora, path: string): Float64Array {
  const { a, b, scaling } = adapter.factors(path)!;
  return multiply(matrix(b.shape[0]!, b.shape[1]!, b.values), matrix(a.shape[0]!, a.shape[1]!, a.values)).values
    .map((value) => value * scaling);
}

function relative(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  const difference = Array.from(theirs, (value, i) => value - ours[i]!);
  return Math.hypot(...difference) / Math.hypot(...Array.from(theirs));
}

const three = ['a', 'b', 'c'];
const cases: [string, Combination, string[], Partial<CombineOptions>][] = [
  ['cat', 'cat', ['a', 'd', 'c'], {}],
  ['svd', 'svd', ['a', 'd', 'c'], {}],
  ['svd_rank', 'svd', ['a', 'd', 'c'], { rank: 5 }],
  ['ties_frequency', 'ties', three, { majoritySign: 'frequency' }],
  ...(['linear', 'ties', 'ties_svd', 'dare_linear', 'dare_ties', 'dare_linear_svd', 'dare_ties_svd', 'magnitude_prune',
    'magnitude_prune_svd'] as const).map((name): typeof cases[number] => [name, name, three, {}]),
];

describe('adapters made one are what PEFT makes of them:', () => {
  it.each(cases)('%s', (name, combination, names, options) => {
    const { adapter } = combineAdapters(loadBase(), load(names), combination, {
      ...combineDefaults, weights: [0.7, -0.4, 1.1], density: 0.6,
      kept: (path, tensor, i) => reference.bytes(`${name}.mask.${path}.${tensor}.${names[i]}`),
      ...options,
    });
    const paths = reference.names().filter((key) => key.startsWith(`${name}.model.`) && key.endsWith('.lora_A'))
      .map((key) => key.slice(name.length + 1, -'.lora_A'.length));
    expect([...adapter.targets].sort()).toEqual(paths.sort());
    for (const path of paths) {
      const tensor = (letter: 'A' | 'B') => {
        const key = `${name}.${path}.lora_${letter}`;
        return { shape: reference.entry(key).shape, values: float32Of(reference, key) };
      };
      const [a, b] = [tensor('A'), tensor('B')];
      const theirs = multiply(matrix(b.shape[0]!, b.shape[1]!, b.values), matrix(a.shape[0]!, a.shape[1]!, a.values));
      expect(relative(update(adapter, path), theirs.values), path).toBeLessThan(1e-5);
      const ours = adapter.factors(path)!;
      expect([ours.a.shape, ours.b.shape]).toEqual([a.shape, b.shape]);
      if (combination.endsWith('svd')) { // whose vectors have no sign of their own, and past the rank no place either
        expect(relative(ours.b.values.map(Math.abs), b.values.map(Math.abs)), path).toBeLessThan(1e-4);
      } else {
        expect(relative(ours.a.values, a.values), path).toBeLessThan(1e-5);
        expect(relative(ours.b.values, b.values), path).toBeLessThan(1e-5);
      }
    }
  });
});

describe('adapters made one', () => {
  const random = (options: Partial<LoraOptions>, seed: number) => {
    const { adapter } = addLora(tinyBase(), { r: 2, ...options, seed });
    for (const { values } of adapter.parameters) values.forEach((_, i) => (values[i] = Math.sin(seed + 7 * i)));
    return adapter;
  };
  const options = { ...combineDefaults, weights: [2, -1] };

  it('by cat are the weighted sum of their updates, and by svd too where the rank allows it', () => {
    const adapters = [random({ r: 2 }, 1), random({ r: 1, useRslora: true, alpha: 3 }, 2)];
    for (const [combination, rank] of [['cat', undefined], ['svd', 3], ['svd', 8]] as const) {
      const { adapter } = combineAdapters(tinyBase(), adapters, combination, { ...options, rank });
      expect(adapter.options.r).toBe(rank ?? 3);
      for (const path of adapter.targets) {
        const [first, second] = adapters.map((lora) => update(lora, path));
        expect(relative(update(adapter, path), first!.map((value, i) => 2 * value - second![i]!))).toBeLessThan(1e-6);
      }
    }
  });

  it('by DARE keep the share asked for, scaled up, the same for the same seed', () => {
    const adapters = [random({}, 1), random({}, 2)];
    const kept = (seed: number) => {
      const lora = combineAdapters(tinyBase(), adapters, 'dare_linear', { ...options, weights: [1, 0], density: 0.25, seed });
      return lora.parameters.flatMap(({ values }) => [...values]);
    };
    const values = kept(1);
    expect(values.filter((value) => value !== 0).length / values.length).toBeCloseTo(0.25, 1);
    const whole = adapters[0]!.parameters.flatMap(({ values }) => [...values]);
    const scale = 4 * Math.sqrt(adapters[0]!.options.alpha / 2);
    values.forEach((value, i) => expect([0, scale * whole[i]!].some((one) => Math.abs(one - value) < 1e-4)).toBe(true));
    expect(kept(1)).toEqual(values);
    expect(kept(2)).not.toEqual(values);
  });

  it('keep a layer that one of them alone has, and name the layers they have', () => {
    const adapters = [random({ targetModules: ['q_proj'] }, 1), random({ targetModules: ['v_proj'], layersToTransform: [1] }, 2)];
    const model = combineAdapters(tinyBase(), adapters, 'ties', { ...options, density: 1 });
    expect([...model.adapter.targets]).toEqual(
      ['model.layers.0.self_attn.q_proj', 'model.layers.1.self_attn.q_proj', 'model.layers.1.self_attn.v_proj']);
    expect(relative(
      update(model.adapter, 'model.layers.0.self_attn.q_proj'),
      update(adapters[0]!, 'model.layers.0.self_attn.q_proj').map((value) => 2 * value),
    )).toBeLessThan(1e-6);
    saveAdapter(model, at('named'), { baseModel: 'tiny' });
    expect([...loadAdapter(tinyBase(), at('named')).adapter.targets]).toEqual([...model.adapter.targets]);
  });

  it('have room for a layer of higher rank that the first does not have', () => {
    const adapters = [random({ targetModules: ['q_proj'] }, 1), random({ targetModules: ['v_proj'], rankPattern: { v_proj: 5 } }, 2)];
    const { adapter } = combineAdapters(tinyBase(), adapters, 'linear', options);
    expect(adapter.options.r).toBe(5);
    const [q, v] = ['q_proj', 'v_proj'].map((name) => `model.layers.0.self_attn.${name}`) as [string, string];
    expect(relative(update(adapter, q), update(adapters[0]!, q).map((value) => 2 * value))).toBeLessThan(1e-6);
    expect(relative(update(adapter, v), update(adapters[1]!, v).map((value) => -value))).toBeLessThan(1e-6);
  });

  it('from folders are a folder of PEFT\'s, written whole or not at all', () => {
    const folders = three.map((name) => join(golden, name));
    const base = join(golden, '../adapters/base');
    const write = (from: string[]) =>
      combineFolders(base, 'tiny', from, at('three'), 'ties', { ...options, weights: from.map(() => 1) });
    userErrorOf(() => write([...folders, at('absent')]), at('absent'));
    expect(existsSync(at('three'))).toBe(false);
    const { adapter } = write(folders);
    const found = loadLora(loadBase(), at('three'));
    expect([...found.targets]).toEqual([...adapter.targets]);
    for (const path of found.targets) expect(update(found, path)).toEqual(update(adapter, path));
    userErrorOf(() => write(folders), at('three'));
  });

  it.each<[string, () => Lora[], Combination, Partial<CombineOptions>, string]>([
    ['one', () => [random({}, 1)], 'cat', {}, '--adapter'],
    ['too few weights', () => [random({}, 1), random({}, 2)], 'cat', { weights: [1] }, '--weights'],
    ['a density of nothing', () => [random({}, 1), random({}, 2)], 'ties', { density: 0 }, '--density'],
    ['a rank that no matrix has', () => [random({}, 1), random({}, 2)], 'svd', { rank: 9 }, '--rank: 9 pasa de 8'],
    ['DoRA', () => [random({}, 1), random({ useDora: true }, 2)], 'cat', {}, 'DoRA'],
    ['whole modules', () => [random({ modulesToSave: ['norm'] }, 1), random({}, 2)], 'cat', {}, 'modules_to_save'],
    ['unlike ranks on A and B', () => [random({ r: 1 }, 1), random({}, 2)], 'ties', {}, '--combine'],
    ['a layer of unlike rank', () => [random({ rankPattern: { q_proj: 1 } }, 1), random({}, 2)], 'linear', {}, 'q_proj'],
  ])('refuse %s', (_, adapters, combination, given, says) => {
    userErrorOf(() => combineAdapters(tinyBase(), adapters(), combination, { ...options, ...given }), says);
  });
});
