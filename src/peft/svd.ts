import { symmetricEigen } from './eigen.ts';

/** A matrix in float64, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** (rows, columns), of values row by row, which are copied; of zeros without them. */
export function matrix(rows: number, columns: number, values?: ArrayLike<number>): Matrix {
  return { rows, columns, values: values ? Float64Array.from(values) : new Float64Array(rows * columns) };
}

/**
 * The best approximation of rank r (Eckart and Young, 1936) of the product left · right, without the product: what is
 * decomposed is as small as the side on which they meet. left: (out, n), right: (n, in) → b = U·S (out, r), a = Vᵀ
 * (r, in); their rows and columns past the product's own rank are 0. Through Gram matrices: singular values less than
 * 1e-7 of the largest are lost in rounding, and taken as 0.
 */
export function truncatedProduct(left: Matrix, right: Matrix, r: number): { a: Matrix; b: Matrix } {
  const n = left.columns;
  const outer = symmetricEigen(multiply(right, transpose(right)).values, n); // right · rightᵀ = C · Cᵀ
  const c = matrix(n, n, Float64Array.from({ length: n * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n), at % n];
    return outer.vectors[column * n + row]! * Math.sqrt(Math.max(0, outer.values[column]!));
  }));
  const leftC = multiply(left, c); // (out, n): the product's Gram matrix is leftC · leftCᵀ
  const inner = symmetricEigen(multiply(transpose(leftC), leftC).values, n);
  const rank = Math.min(r, inner.values.filter((square) => square > 1e-14 * inner.values[0]!).length);
  const z = matrix(rank, n, inner.vectors.subarray(0, rank * n)); // the leading vectors, one a row
  const us = multiply(leftC, transpose(z)); // (out, rank)
  const vt = multiply(multiply(transpose(us), left), right); // S² · Vᵀ: (rank, in)
  const a = matrix(r, right.columns);
  vt.values.forEach((value, at) => (a.values[at] = value / inner.values[Math.floor(at / right.columns)]!));
  const b = matrix(left.rows, r);
  us.values.forEach((value, at) => (b.values[Math.floor(at / rank) * r + at % rank] = value));
  return { a, b };
}

export interface Spectrum {
  /** Singular values, the largest first. */
  readonly values: Float64Array;
  /** The best approximation of rank r (Eckart and Young, 1936). */
  readonly truncated: (r: number) => Matrix;
}

/** Singular values of a matrix, and the matrix cut to a rank, through the Gram matrix of its shorter side. */
export function spectrum(m: Matrix): Spectrum {
  const isTall = m.rows > m.columns;
  const wide = isTall ? transpose(m) : m;
  const { values, vectors } = symmetricEigen(multiply(wide, transpose(wide)).values, wide.rows);
  return {
    values: values.map((square) => Math.sqrt(Math.max(0, square))),
    truncated(r) {
      const leading = matrix(r, wide.rows, vectors.subarray(0, r * wide.rows)); // Uᵀ: (r, rows)
      const low = multiply(transpose(leading), multiply(leading, wide));
      return isTall ? transpose(low) : low;
    },
  };
}

/** (rows, columns) → (columns, rows). */
export function transpose({ rows, columns, values }: Matrix): Matrix {
  const turned = matrix(columns, rows);
  values.forEach((value, at) => (turned.values[(at % columns) * rows + Math.floor(at / columns)] = value));
  return turned;
}

/** left · right: (n, k), (k, m) → (n, m). */
export function multiply(left: Matrix, right: Matrix): Matrix {
  const { rows, columns: inner } = left;
  const { columns } = right;
  const product = matrix(rows, columns);
  for (let i = 0; i < rows; i++) {
    const row = product.values.subarray(i * columns, (i + 1) * columns);
    for (let k = 0; k < inner; k++) {
      const factor = left.values[i * inner + k]!;
      if (factor === 0) continue;
      const other = right.values.subarray(k * columns, (k + 1) * columns);
      for (let j = 0; j < columns; j++) row[j]! += factor * other[j]!;
    }
  }
  return product;
}

/** (n, n), with 1 along its diagonal. */
export function identity(n: number): Matrix {
  const eye = matrix(n, n);
  for (let i = 0; i < n; i++) eye.values[i * (n + 1)] = 1;
  return eye;
}
