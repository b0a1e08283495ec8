/**
 * Inverted dropout in place: every fourth element has its own xorshift32 generator (Marsaglia, 2003), so that four
 * go at once; one is dropped where its generator falls below the threshold, and the others are scaled.
 */
export function dropout(x: usize, count: i32, threshold: u32, scale: f32, a: u32, b: u32, c: u32, d: u32): void {
  let state = i32x4.splat(a);
  state = i32x4.replace_lane(state, 1, b);
  state = i32x4.replace_lane(state, 2, c);
  state = i32x4.replace_lane(state, 3, d);
  const limit = i32x4.splat(threshold);
  const factor = f32x4.splat(scale);
  const end = x + (<usize>count << 2);
  for (let at = x; at < end; at += 16) {
    state = v128.xor(state, i32x4.shl(state, 13));
    state = v128.xor(state, i32x4.shr_u(state, 17));
    state = v128.xor(state, i32x4.shl(state, 5));
    v128.store(at, v128.and(f32x4.mul(v128.load(at), factor), i32x4.ge_u(state, limit)));
  }
}
