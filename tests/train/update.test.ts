import { expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import { update } from '../../src/train/update.ts';
import type { UpdateNumbers } from '../../src/train/update.ts';

const numbers: UpdateNumbers = {
  scale: 0.37, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, stepSize: 3e-3, correction: 0.0447,
  decayBefore: 1, decayAfter: 1,
};

function arrays(size: number, from: number) {
  const random = Random.for(1, 'update', size);
  const normal = (length: number, spread: number) =>
    Float32Array.from({ length }, () => random.normal() * spread * 10 ** random.below(4));
  return {
    values: normal(from + size + 3, 1), gradient: normal(from + size + 3, 1e-3),
    m: normal(size, 1e-3), v: normal(size, 1e-6).map(Math.abs),
  };
}

/** Told apart in one go, for the arrays are long; and bit by bit, −0 from 0 too. */
function bytesOf(all: ReturnType<typeof arrays>): Buffer {
  return Buffer.concat(Object.values(all).map((array) => Buffer.from(array.buffer)));
}

/** The formula, in JavaScript's own float64. */
function plain({ values, gradient, m, v }: ReturnType<typeof arrays>, from: number, n: UpdateNumbers): void {
  for (let j = 0; j < m.length; j++) {
    const g = gradient[from + j]! * n.scale;
    const mean = n.beta1 * m[j]! + (1 - n.beta1) * g;
    const square = n.beta2 * v[j]! + (1 - n.beta2) * g * g;
    const step = n.stepSize * mean / (Math.sqrt(square) / n.correction + n.epsilon);
    m[j] = mean;
    v[j] = square;
    values[from + j] = (values[from + j]! * n.decayBefore - step) * n.decayAfter;
  }
}

// None, one, an odd end, a whole piece, and pieces with an odd end.
it.each([0, 1, 255, 2 ** 13, 2 ** 14 + 77])('it is the formula to the last bit, and nothing beyond: %d parameters', (size) => {
  for (const from of [0, 5]) {
    for (const changed of [{}, { decayBefore: 0.98 }, { decayAfter: 0.98 }, { scale: 1 }]) {
      const [ours, expected] = [arrays(size, from), arrays(size, from)];
      update(ours.values, ours.gradient, ours.m, ours.v, from, { ...numbers, ...changed });
      plain(expected, from, { ...numbers, ...changed });
      expect(bytesOf(ours).equals(bytesOf(expected)), `from ${from}, ${JSON.stringify(changed)}`).toBe(true);
    }
  }
});

it('a parameter without a gradient so far stays where it is', () => {
  const values = Float32Array.of(1, -2, 0);
  update(values, new Float32Array(3), new Float32Array(3), new Float32Array(3), 0, numbers);
  expect([...values]).toEqual([1, -2, 0]);
});
