// AssemblyScript, compiled by `npm run kernels` into ../blockwise.wasm (a test rebuilds it and compares). It has a
// memory of its own, where ../simd.ts lays out one chunk of whole blocks at a time.
import { lookUp, widen16 } from './widen';

/** bitsandbytes' clamp: a block of zeros has a scale all the same. */
const SMALLEST_ABSMAX: f32 = 1e-38;

/**
 * `count` values, whole blocks, to 4 bits: see ../blockwise.ts, whose bytes these are.
 *
 * @param midpoints fifteen float32, ascending, and as many codes: what is above k of them has the k-th nibble
 * @returns the block that holds what is no number, or -1
 */
export function quantize(
  values: usize, count: i32, blockSize: i32, packed: usize, absmax: usize, midpoints: usize, nibbles: usize,
): i32 {
  const table = v128.load(nibbles);
  const blockBytes = <usize>blockSize << 2;
  const end = values + (<usize>count << 2);
  for (let block = 0; values < end; block++, absmax += 4) {
    let most = i32x4.splat(0);
    for (let at: usize = 0; at < blockBytes; at += 32) {
      const left = v128.and(v128.load(values + at), i32x4.splat(0x7fffffff));
      const right = v128.and(v128.load(values + at, 16), i32x4.splat(0x7fffffff));
      most = i32x4.max_s(most, i32x4.max_s(left, right)); // magnitudes are in the order of their bits
    }
    most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
    most = i32x4.max_s(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
    const bits = i32x4.extract_lane(most, 0);
    if (bits >= 0x7f800000) return block;
    const largest = max(reinterpret<f32>(bits), SMALLEST_ABSMAX);
    store<f32>(absmax, largest);
    const reciprocal = f32x4.splat(<f32>1 / largest);
    for (let at: usize = 0; at < blockBytes; at += 128, packed += 16) {
      const first = pairs(values + at, reciprocal, midpoints, table);
      const second = pairs(values + at + 64, reciprocal, midpoints, table);
      v128.store(packed, i8x16.narrow_i16x8_u(first, second));
    }
    values += blockBytes;
  }
  return -1;
}

/** Bits of bfloat16, whole eights of them, to float32. They may lie in the last half of where they are written. */
export function widen(bits: usize, count: i32, out: usize): void {
  const end = bits + (<usize>count << 1);
  for (; bits < end; bits += 16, out += 32) {
    const eight = v128.load(bits), zeros = i16x8.splat(0);
    v128.store(out, v128.shuffle<i16>(zeros, eight, 0, 8, 1, 9, 2, 10, 3, 11));
    v128.store(out, v128.shuffle<i16>(zeros, eight, 4, 12, 5, 13, 6, 14, 7, 15), 16);
  }
}

/** Sixteen values to eight bytes, each in a word: the first of a pair in the high half. */
// @ts-expect-error: decorator
@inline
function pairs(values: usize, reciprocal: v128, midpoints: usize, table: v128): v128 {
  const x0 = f32x4.mul(v128.load(values), reciprocal), x1 = f32x4.mul(v128.load(values, 16), reciprocal);
  const x2 = f32x4.mul(v128.load(values, 32), reciprocal), x3 = f32x4.mul(v128.load(values, 48), reciprocal);
  let r0 = i32x4.splat(0), r1 = r0, r2 = r0, r3 = r0;
  for (let k: usize = 0; k < 60; k += 4) {
    const midpoint = v128.load32_splat(midpoints + k);
    r0 = i32x4.sub(r0, f32x4.gt(x0, midpoint)), r1 = i32x4.sub(r1, f32x4.gt(x1, midpoint)); // true is -1
    r2 = i32x4.sub(r2, f32x4.gt(x2, midpoint)), r3 = i32x4.sub(r3, f32x4.gt(x3, midpoint));
  }
  const ranks = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(r0, r1), i16x8.narrow_i32x4_u(r2, r3));
  const found = lookUp(table, ranks);
  return v128.and(v128.or(i16x8.shl(found, 4), i16x8.shr_u(found, 8)), i16x8.splat(255));
}

/** `count` values back in float32, whole blocks. codes: the sixteen values by bytes, (4, 16). */
export function dequantize(
  packed: usize, count: i32, blockSize: i32, absmax: usize, codes: usize, out: usize,
): void {
  const t0 = v128.load(codes), t1 = v128.load(codes, 16), t2 = v128.load(codes, 32), t3 = v128.load(codes, 48);
  const end = packed + (count >> 1);
  for (; packed < end; absmax += 4) {
    const scale = v128.load32_splat(absmax);
    for (const next = packed + (blockSize >> 1); packed < next; packed += 16, out += 128) {
      const bytes = v128.load(packed);
      const high = i8x16.shr_u(bytes, 4), low = v128.and(bytes, i8x16.splat(15));
      const first = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const second = i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      widen16(first, t0, t1, t2, t3, scale, out, 16, 32, 48);
      widen16(second, t0, t1, t2, t3, scale, out + 64, 16, 32, 48);
    }
  }
}

/** The same in bfloat16, the nearest to what float32 gives. codes: the sixteen values as float32. */
export function dequantizeToBfloat16(
  packed: usize, count: i32, blockSize: i32, absmax: usize, codes: usize, out: usize,
): void {
  const c0 = v128.load(codes), c1 = v128.load(codes, 16), c2 = v128.load(codes, 32), c3 = v128.load(codes, 48);
  const end = packed + (count >> 1);
  for (; packed < end; absmax += 4) {
    // A block has no more than sixteen values: each is scaled and rounded once, and looked up by its two bytes.
    const scale = v128.load32_splat(absmax);
    const first8 = i16x8.narrow_i32x4_u(rounded(c0, scale), rounded(c1, scale));
    const last8 = i16x8.narrow_i32x4_u(rounded(c2, scale), rounded(c3, scale));
    const t0 = i8x16.shuffle(first8, last8, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const t1 = i8x16.shuffle(first8, last8, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    for (const next = packed + (blockSize >> 1); packed < next; packed += 16, out += 64) {
      const bytes = v128.load(packed);
      const high = i8x16.shr_u(bytes, 4), low = v128.and(bytes, i8x16.splat(15));
      const first = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const second = i8x16.shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      put16(first, t0, t1, out);
      put16(second, t0, t1, out + 32);
    }
  }
}

/** Four values times `scale` to bfloat16, in the low halves; a tie goes to the even one. */
// @ts-expect-error: decorator
@inline
function rounded(codes: v128, scale: v128): v128 {
  const bits = f32x4.mul(codes, scale);
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1));
  return i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16);
}

// @ts-expect-error: decorator
@inline
function put16(indices: v128, t0: v128, t1: v128, to: usize): void {
  const b0 = lookUp(t0, indices), b1 = lookUp(t1, indices);
  v128.store(to, i8x16.shuffle(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  v128.store(to + 16, i8x16.shuffle(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
}
