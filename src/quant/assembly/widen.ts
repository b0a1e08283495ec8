/** Sixteen indices to float32 values times `scale`, written by fours: at `to`, and at so many bytes from it. */
// @ts-expect-error: decorator
@inline
export function widen16(
  indices: v128, t0: v128, t1: v128, t2: v128, t3: v128, scale: v128, to: usize, at1: usize, at2: usize, at3: usize,
): void {
  const b0 = lookUp(t0, indices), b1 = lookUp(t1, indices), b2 = lookUp(t2, indices), b3 = lookUp(t3, indices);
  const low01 = i8x16.shuffle(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high01 = i8x16.shuffle(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const low23 = i8x16.shuffle(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const high23 = i8x16.shuffle(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(to, f32x4.mul(scale, v128.shuffle<i16>(low01, low23, 0, 8, 1, 9, 2, 10, 3, 11)));
  v128.store(to + at1, f32x4.mul(scale, v128.shuffle<i16>(low01, low23, 4, 12, 5, 13, 6, 14, 7, 15)));
  v128.store(to + at2, f32x4.mul(scale, v128.shuffle<i16>(high01, high23, 0, 8, 1, 9, 2, 10, 3, 11)));
  v128.store(to + at3, f32x4.mul(scale, v128.shuffle<i16>(high01, high23, 4, 12, 5, 13, 6, 14, 7, 15)));
}

// @ts-expect-error: decorator
@inline
export function lookUp(table: v128, indices: v128): v128 { // none of them past the sixteenth
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(table, indices) : i8x16.swizzle(table, indices);
}
