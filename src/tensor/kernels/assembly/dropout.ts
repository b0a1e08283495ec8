/**
 * Inverted dropout: every fourth element has its own xorshift32 generator (Marsaglia, 2003), so that four go at once;
 * an element is dropped where its generator falls below the threshold, and scaled where it does not.
 */
export function dropout(
  x: usize, out: usize, count: i32, threshold: u32, scale: f32, a: u32, b: u32, c: u32, d: u32,
): void {
  let state = i32x4.splat(a);
  state = i32x4.replace_lane(state, 1, b);
  state = i32x4.replace_lane(state, 2, c);
  state = i32x4.replace_lane(state, 3, d);
  const limit = i32x4.splat(threshold);
  const factor = f32x4.splat(scale);
  const end = <usize>count << 2;
  for (let at: usize = 0; at < end; at += 16) {
    state = v128.xor(state, i32x4.shl(state, 13));
    state = v128.xor(state, i32x4.shr_u(state, 17));
    state = v128.xor(state, i32x4.shl(state, 5));
    const kept = i32x4.ge_u(state, limit);
    if (at + 16 <= end) {
      v128.store(out + at, v128.and(f32x4.mul(v128.load(x + at), factor), kept));
    } else { // the last one to three, which are no whole vector
      store<f32>(out + at, i32x4.extract_lane(kept, 0) ? load<f32>(x + at) * scale : 0);
      if (at + 4 < end) store<f32>(out + at, i32x4.extract_lane(kept, 1) ? load<f32>(x + at, 4) * scale : 0, 4);
      if (at + 8 < end) store<f32>(out + at, i32x4.extract_lane(kept, 2) ? load<f32>(x + at, 8) * scale : 0, 8);
    }
  }
}
