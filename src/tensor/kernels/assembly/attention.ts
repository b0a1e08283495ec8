import { madd } from './madd';

/** e^x of four floats, |relative error| < 2e-7: 2^k times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes' expf). */
// @ts-expect-error: decorator
@inline
function exp4(x: v128): v128 {
  x = f32x4.max(x, f32x4.splat(-87.0)); // below, e^x is no normal float: as good as zero
  const k = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(x, f32x4.mul(k, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(k, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = madd(p, r, f32x4.splat(1.3981999507e-3));
  p = madd(p, r, f32x4.splat(8.3334519073e-3));
  p = madd(p, r, f32x4.splat(4.1665795894e-2));
  p = madd(p, r, f32x4.splat(1.6666665459e-1));
  p = madd(p, r, f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1.0));
  const bits = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(k), i32x4.splat(127)), 23);
  return f32x4.mul(p, bits);
}

// @ts-expect-error: decorator
@inline
function sum4(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3);
}

// @ts-expect-error: decorator
@inline
function dot(a: usize, b: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0);
  for (let at: usize = 0; at < bytes; at += 16) {
    sum = madd(v128.load(a + at), v128.load(b + at), sum);
  }
  return sum4(sum);
}

/** out += scale · x */
// @ts-expect-error: decorator
@inline
function addScaled(out: usize, x: usize, scale: f32, bytes: usize): void {
  const s = f32x4.splat(scale);
  for (let at: usize = 0; at < bytes; at += 16) {
    v128.store(out + at, madd(v128.load(x + at), s, v128.load(out + at)));
  }
}

/** p[0, count) = e^(p − shift), and their sum; p is padded to a multiple of four with anything. */
function exponentials(p: usize, count: i32, shift: f32): f32 {
  const s = f32x4.splat(shift);
  const end = p + (<usize>count << 2);
  for (let at = p; at < end; at += 16) v128.store(at, exp4(f32x4.sub(v128.load(at), s)));
  let sum: f32 = 0;
  for (let at = p; at < end; at += 4) sum += load<f32>(at);
  return sum;
}

/** What the job says, as ../attention.ts writes it: 32-bit words. headDim is a multiple of four. */
// @ts-expect-error: decorator
@unmanaged
class Attention {
  seq: i32;
  heads: i32;
  kvHeads: i32;
  headDim: i32;
  q: usize; // (batch, seq, heads, headDim), and so out
  k: usize; // (batch, seq, kvHeads, headDim), and so v
  v: usize;
  out: usize;
  /** (batch, heads, seq, 2): each row's largest score and the reciprocal of its softmax denominator, for the way back. */
  sums: usize;
  /** On the way back: the gradient of out, and those of q, k and v. */
  dOut: usize;
  dq: usize;
  dk: usize;
  dv: usize;
}

/** Causal attention of one head of one sequence. row: seq + 3 floats of scratch. */
export function attentionTask(job: usize, task: i32, row: usize): void {
  const p = changetype<Attention>(job);
  const seq = p.seq, heads = p.heads, k = p.k, v = p.v;
  const b = task / heads, h = task % heads;
  const bytes = <usize>p.headDim << 2;
  const qStride = bytes * heads;
  const kStride = bytes * p.kvHeads;
  const scale: f32 = 1 / sqrt<f32>(<f32>p.headDim);
  const kHead = <usize>(b * seq) * kStride + <usize>(h / (heads / p.kvHeads)) * bytes;
  for (let i = 0; i < seq; i++) {
    const at = <usize>(b * seq + i) * qStride + <usize>h * bytes;
    const q = p.q + at, out = p.out + at;
    let largest: f32 = -Infinity;
    for (let j = 0; j <= i; j++) {
      const score = scale * dot(q, k + kHead + <usize>j * kStride, bytes);
      store<f32>(row + (<usize>j << 2), score);
      largest = max<f32>(largest, score);
    }
    const total = exponentials(row, i + 1, largest);
    const share: f32 = 1 / total;
    const sum = p.sums + (<usize>(task * seq + i) << 3);
    store<f32>(sum, largest);
    store<f32>(sum, share, 4);
    memory.fill(out, 0, bytes);
    for (let j = 0; j <= i; j++) {
      addScaled(out, v + kHead + <usize>j * kStride, share * load<f32>(row + (<usize>j << 2)), bytes);
    }
  }
}

/** The gradients of the heads of one sequence that share one head of keys and values. */
export function attentionGradientsTask(job: usize, task: i32, row: usize): void {
  const p = changetype<Attention>(job);
  const seq = p.seq, heads = p.heads, k = p.k, v = p.v, dk = p.dk, dv = p.dv;
  const b = task / p.kvHeads, kvHead = task % p.kvHeads, group = heads / p.kvHeads;
  const bytes = <usize>p.headDim << 2;
  const qStride = bytes * heads;
  const kStride = bytes * p.kvHeads;
  const scale: f32 = 1 / sqrt<f32>(<f32>p.headDim);
  const kHead = <usize>(b * seq) * kStride + <usize>kvHead * bytes;
  for (let j = 0; j < seq; j++) {
    memory.fill(dk + kHead + <usize>j * kStride, 0, bytes);
    memory.fill(dv + kHead + <usize>j * kStride, 0, bytes);
  }
  for (let h = kvHead * group; h < (kvHead + 1) * group; h++) {
    for (let i = 0; i < seq; i++) {
      const at = <usize>(b * seq + i) * qStride + <usize>h * bytes;
      const q = p.q + at, dOut = p.dOut + at, dq = p.dq + at;
      for (let j = 0; j <= i; j++) {
        store<f32>(row + (<usize>j << 2), scale * dot(q, k + kHead + <usize>j * kStride, bytes));
      }
      const sum = p.sums + (<usize>((b * heads + h) * seq + i) << 3);
      exponentials(row, i + 1, load<f32>(sum));
      const share = load<f32>(sum, 4);
      const mean = dot(dOut, p.out + at, bytes); // Σ_j p_j · (dOut · v_j)
      memory.fill(dq, 0, bytes);
      for (let j = 0; j <= i; j++) {
        const other = kHead + <usize>j * kStride;
        const probability = share * load<f32>(row + (<usize>j << 2));
        const dScore = scale * probability * (dot(dOut, v + other, bytes) - mean);
        addScaled(dq, k + other, dScore, bytes);
        addScaled(dk + other, q, dScore, bytes);
        addScaled(dv + other, dOut, probability, bytes);
      }
    }
  }
}

/**
 * Rotary embedding, half-split: out = x · cos + rotate_half(x) · sin · sign.
 * x, out: (rows, heads, headDim); cos, sin: (rows, headDim). headDim is a multiple of eight.
 */
export function rotate(
  x: usize, cos: usize, sin: usize, out: usize, sign: f32, rows: i32, heads: i32, headDim: i32,
): void {
  const half = <usize>headDim << 1;
  const s = f32x4.splat(sign);
  for (let r = 0; r < rows; r++) {
    const table = <usize>(r * headDim) << 2;
    for (let h = 0; h < heads; h++) {
      const at = <usize>((r * heads + h) * headDim) << 2;
      for (let i: usize = 0; i < half; i += 16) {
        const a = v128.load(x + at + i);
        const b = v128.load(x + at + half + i);
        const c = v128.load(cos + table + i);
        const d = f32x4.mul(s, v128.load(sin + table + i));
        v128.store(out + at + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, d)));
        v128.store(out + at + half + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, d)));
      }
    }
  }
}
