/** Eigenvalues, the largest first, and their unit vectors, one a row: (n, n). */
export interface Eigen {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

const MOST_ITERATIONS = 60; // two or three an eigenvalue are the rule

/**
 * The eigenvalues and vectors of a symmetric matrix (n, n): Householder's reflections make it tridiagonal, and QL
 * iterations with implicit shifts diagonal (Golub and Van Loan, Matrix Computations, 8.3). Some 9·n³ products, all of
 * them along rows.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const { diagonal, beside, vectors } = tridiagonal(matrix, n);
  diagonalize(diagonal, beside, vectors, n);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => diagonal[j]! - diagonal[i]!);
  const sorted = new Float64Array(n * n);
  order.forEach((from, to) => sorted.set(vectors.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => diagonal[i]!), vectors: sorted };
}

/** A = Qᵀ T Q: T by its diagonal and the elements beside it, `beside[i]` between i and i + 1; Q as `vectors`. */
function tridiagonal(matrix: Float64Array, n: number): Tridiagonal {
  const a = matrix.slice();
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n);
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  const u = new Float64Array(n); // the reflection I − 2uuᵀ
  const p = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
    let square = 0;
    for (let i = k + 1; i < n; i++) square += a[k * n + i]! ** 2;
    const first = a[k * n + k + 1]!;
    const alpha = first > 0 ? -Math.sqrt(square) : Math.sqrt(square);
    diagonal[k] = a[k * n + k]!;
    beside[k] = alpha;
    const length = Math.sqrt(2 * (square - alpha * first));
    if (!(length > 0)) continue; // nothing to reflect
    for (let i = k + 1; i < n; i++) u[i] = (a[k * n + i]! - (i === k + 1 ? alpha : 0)) / length;
    // What is left becomes (I − 2uuᵀ) A (I − 2uuᵀ) = A − 2(uqᵀ + quᵀ), with p = Au and q = p − (uᵀp)u.
    let product = 0;
    for (let i = k + 1; i < n; i++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += a[i * n + j]! * u[j]!;
      p[i] = sum;
      product += sum * u[i]!;
    }
    for (let i = k + 1; i < n; i++) p[i]! -= product * u[i]!;
    for (let i = k + 1; i < n; i++) {
      const [ui, qi] = [2 * u[i]!, 2 * p[i]!];
      for (let j = k + 1; j < n; j++) a[i * n + j]! -= ui * p[j]! + qi * u[j]!;
    }
    reflectRows(vectors, n, k + 1, u, p);
  }
  for (let i = Math.max(0, n - 2); i < n; i++) diagonal[i] = a[i * n + i]!;
  if (n > 1) beside[n - 2] = a[(n - 2) * n + n - 1]!;
  return { diagonal, beside, vectors };
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  readonly beside: Float64Array;
  readonly vectors: Float64Array;
}

/** (I − 2uuᵀ) · V, where u is 0 before `from`. `sums` is room to work in. */
function reflectRows(v: Float64Array, n: number, from: number, u: Float64Array, sums: Float64Array): void {
  sums.fill(0);
  for (let i = from; i < n; i++) {
    const ui = u[i]!;
    for (let j = 0; j < n; j++) sums[j]! += ui * v[i * n + j]!;
  }
  for (let i = from; i < n; i++) {
    const ui = 2 * u[i]!;
    for (let j = 0; j < n; j++) v[i * n + j]! -= ui * sums[j]!;
  }
}

/** QL with implicit shifts: `diagonal` becomes the eigenvalues, the rows of `vectors` their vectors. */
function diagonalize(diagonal: Float64Array, beside: Float64Array, vectors: Float64Array, n: number): void {
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
      let m = l;
      while (m < n - 1) {
        const scale = Math.abs(diagonal[m]!) + Math.abs(diagonal[m + 1]!);
        if (Math.abs(beside[m]!) <= Number.EPSILON * scale) break;
        m++;
      }
      if (m === l) break;
      // Wilkinson's shift, then a bulge chased from m up to l.
      let g = (diagonal[l + 1]! - diagonal[l]!) / (2 * beside[l]!);
      let r = Math.hypot(g, 1);
      g = diagonal[m]! - diagonal[l]! + beside[l]! / (g + (g < 0 ? -r : r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * beside[i]!;
        const b = c * beside[i]!;
        r = Math.hypot(f, g);
        beside[i + 1] = r;
        if (r === 0) { // it came apart by itself
          diagonal[i + 1]! -= p;
          beside[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = diagonal[i + 1]! - p;
        r = (diagonal[i]! - g) * s + 2 * c * b;
        p = s * r;
        diagonal[i + 1] = g + p;
        g = c * r - b;
        rotateRows(vectors, n, i, i + 1, c, s);
      }
      if (i >= l) continue;
      diagonal[l]! -= p;
      beside[l] = g;
      beside[m] = 0;
    }
  }
}

function rotateRows(a: Float64Array, n: number, p: number, q: number, c: number, s: number): void {
  for (let k = 0; k < n; k++) {
    const [pk, qk] = [a[p * n + k]!, a[q * n + k]!];
    a[p * n + k] = c * pk - s * qk;
    a[q * n + k] = s * pk + c * qk;
  }
}
