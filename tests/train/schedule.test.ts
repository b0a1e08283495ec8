import { describe, expect, it } from 'vitest';
import { learningRate } from '../../src/train/schedule.ts';

const rates = (steps: number, warmupSteps: number, schedule: 'constant' | 'cosine' | 'exponential') =>
  Array.from({ length: steps }, (_, i) => learningRate(i + 1, steps, { peak: 2, warmupSteps, schedule }));

describe('the learning rate', () => {
  it('climbs in a line to the peak, and stays there', () => {
    expect(rates(8, 4, 'constant')).toEqual([0.5, 1, 1.5, 2, 2, 2, 2, 2]);
  });

  it('starts at the peak when there is no warm-up', () => {
    expect(rates(3, 0, 'constant')).toEqual([2, 2, 2]);
    expect(rates(3, 0, 'cosine')[0]).toBe(2);
  });

  it('falls by half a cosine, which would reach zero one step after the last', () => {
    const [first, second, third, fourth] = rates(4, 0, 'cosine') as [number, number, number, number];
    expect(first).toBe(2);
    expect(second).toBeCloseTo(1 + Math.SQRT1_2, 12);
    expect(third).toBeCloseTo(1, 12);
    expect(fourth).toBeCloseTo(1 - Math.SQRT1_2, 12);
  });

  it('begins to fall only after the warm-up', () => {
    const falling = rates(12, 4, 'cosine');
    expect(falling.slice(0, 5)).toEqual([0.5, 1, 1.5, 2, 2]);
    for (let i = 5; i < 12; i++) expect(falling[i]!).toBeLessThan(falling[i - 1]!);
    expect(falling.slice(4)).toEqual(rates(8, 0, 'cosine')); // all of it, in the steps that are left
  });

  it('climbs by the same factor at every step, over five decades, when a rate is sought', () => {
    const climbing = rates(6, 2, 'exponential');
    [2e-5, 2e-4, 2e-3, 0.02, 0.2, 2].forEach((rate, i) => expect(climbing[i]! / rate).toBeCloseTo(1, 12));
    expect(rates(1, 0, 'exponential')).toEqual([2]);
  });

  it('is never beyond the peak, nor zero, even when all is warm-up', () => {
    expect(rates(2, 2, 'cosine')).toEqual([1, 2]);
    expect(rates(1, 0, 'cosine')).toEqual([2]);
  });
});
