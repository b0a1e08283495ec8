import { describe, expect, it } from 'vitest';
import { symmetricEigen } from '../../src/peft/eigen.ts';
import { identity, matrix, multiply, spectrum, transpose, truncatedProduct } from '../../src/peft/svd.ts';
import { Random } from '../../src/random.ts';

const random = Random.for(3, 'svd');
const drawn = (rows: number, columns: number) =>
  matrix(rows, columns, Array.from({ length: rows * columns }, () => random.normal()));
const gap = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe('eigenvalues of a symmetric matrix', () => {
  it('come largest first, with unit vectors at right angles that give the matrix back', () => {
    const n = 17;
    const m = drawn(n, n);
    const symmetric = multiply(m, transpose(m)).values.map((value, i) => value - (i % (n + 1) === 0 ? 10 : 0));
    const { values, vectors } = symmetricEigen(symmetric, n);
    expect([...values]).toEqual([...values].sort((a, b) => b - a));
    expect(values.at(-1)).toBeLessThan(0);
    const v = matrix(n, n, vectors);
    expect(gap(multiply(v, transpose(v)).values, identity(n).values)).toBeLessThan(1e-12);
    const scaled = matrix(n, n, vectors.map((value, i) => value * values[Math.floor(i / n)]!));
    expect(gap(multiply(transpose(v), scaled).values, symmetric)).toBeLessThan(1e-11);
  });

  it.each([[[0, 0, 0, 0]], [[2, 0, 0, 5]], [[1, 1, 1, 1]]])('hold of %j', (values) => {
    const { values: found } = symmetricEigen(Float64Array.from(values), 2);
    expect(found[0]! + found[1]!).toBeCloseTo(values[0]! + values[3]!, 12);
    expect(found[0]! * found[1]!).toBeCloseTo(values[0]! * values[3]! - values[1]! * values[2]!, 12);
  });
});

describe('a matrix of larger size', () => {
  it('comes apart as a small one does, with values that repeat and a rank that is not full', () => {
    const n = 40;
    const half = drawn(n, 12);
    const gram = multiply(half, transpose(half)).values;
    const { values, vectors } = symmetricEigen(gram, n);
    expect([...values.subarray(12)].every((value) => Math.abs(value) < 1e-10)).toBe(true);
    const v = matrix(n, n, vectors);
    expect(gap(multiply(v, transpose(v)).values, identity(n).values)).toBeLessThan(1e-12);
    const stretched = transpose(v).values.map((value, i) => value * values[i % n]!);
    expect(gap(multiply(matrix(n, n, gram), transpose(v)).values, stretched)).toBeLessThan(1e-10);
  });
});

describe('the spectrum of a matrix', () => {
  it.each([[9, 5], [5, 9]])('of %d × %d: singular values, and the nearest matrix of each rank', (rows, columns) => {
    const m = drawn(rows, columns);
    const { values, truncated } = spectrum(m);
    expect(values).toHaveLength(5);
    expect(Math.hypot(...values)).toBeCloseTo(Math.hypot(...m.values), 10);
    expect(gap(truncated(5).values, m.values)).toBeLessThan(1e-10);
    for (const r of [1, 3]) {
      const low = truncated(r);
      expect([low.rows, low.columns]).toEqual([rows, columns]);
      const off = low.values.map((value, i) => value - m.values[i]!);
      expect(Math.hypot(...off)).toBeCloseTo(Math.hypot(...values.subarray(r)), 10);
      expect([...spectrum(low).values.subarray(r)].every((value) => value < 1e-6)).toBe(true);
    }
  });
});

describe('a product brought to a rank', () => {
  const [left, right] = [drawn(9, 4), drawn(4, 7)];
  const whole = multiply(left, right);
  const off = (r: number) => {
    const { a, b } = truncatedProduct(left, right, r);
    return multiply(b, a).values.map((value, i) => value - whole.values[i]!);
  };

  it('is itself at its own rank, and past it', () => {
    expect(Math.hypot(...off(4))).toBeLessThan(1e-10);
    expect(Math.hypot(...off(6))).toBeLessThan(1e-10);
  });

  it('is below it as far off as the singular values left out, which no other is nearer', () => {
    const squares = symmetricEigen(multiply(whole, transpose(whole)).values, 9).values;
    for (const r of [1, 2, 3]) {
      const leftOut = squares.subarray(r).reduce((a, b) => a + Math.max(0, b), 0);
      expect(Math.hypot(...off(r))).toBeCloseTo(Math.sqrt(leftOut), 8);
    }
  });

  it('has V at right angles and the singular values in U·S', () => {
    const { a, b } = truncatedProduct(left, right, 3);
    expect(gap(multiply(a, transpose(a)).values, [1, 0, 0, 0, 1, 0, 0, 0, 1])).toBeLessThan(1e-10);
    const gram = multiply(transpose(b), b).values;
    expect([gram[1], gram[2], gram[5]].every((value) => Math.abs(value!) < 1e-9)).toBe(true);
  });

  it('keeps a singular value of a hundred-thousandth of the largest, and past its own rank is nothing', () => {
    const { a, b } = truncatedProduct(matrix(3, 3, [1, 0, 0, 0, 1e-5, 0, 0, 0, 0]), drawn(3, 5), 3);
    const values = spectrum(multiply(b, a)).values;
    expect(values[1]).toBeGreaterThan(1e-6);
    expect([...a.values.subarray(10)]).toEqual([0, 0, 0, 0, 0]);
    expect([2, 5, 8].map((at) => b.values[at])).toEqual([0, 0, 0]);
  });

  it('of a rank that rounding alone makes full is of its own', () => {
    const column = drawn(9, 1);
    const { a, b } = truncatedProduct(multiply(column, drawn(1, 4)), right, 3);
    expect([...a.values.subarray(7)].every((value) => value === 0)).toBe(true);
    expect(b.values.every((value, at) => at % 3 === 0 || value === 0)).toBe(true);
  });

  it('of nothing is nothing', () => {
    const { a, b } = truncatedProduct(matrix(3, 2), matrix(2, 4), 2);
    expect([...a.values, ...b.values].every((value) => value === 0)).toBe(true);
  });
});
