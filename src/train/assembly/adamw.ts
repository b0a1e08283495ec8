// AssemblyScript, compiled by `npm run kernels` into ../adamw.wasm (a test rebuilds it and compares). It has a memory of
// its own, where ../update.ts lays out a piece of the parameters at a time.

/**
 * AdamW's update of `count` parameters, two at a time: float32 in memory, float64 from there to there. See ../update.ts.
 * Where `count` is odd, there has to be room for one more.
 */
export function update(
  values: usize, gradient: usize, m: usize, v: usize, count: i32, scale: f64, beta1: f64, beta2: f64, epsilon: f64,
  stepSize: f64, correction: f64, decayBefore: f64, decayAfter: f64,
): void {
  const old1 = f64x2.splat(beta1), new1 = f64x2.splat(1 - beta1);
  const old2 = f64x2.splat(beta2), new2 = f64x2.splat(1 - beta2);
  for (const end = values + (<usize>count << 2); values < end; values += 8, gradient += 8, m += 8, v += 8) {
    const g = f64x2.mul(wide(gradient), f64x2.splat(scale));
    const mean = f64x2.add(f64x2.mul(old1, wide(m)), f64x2.mul(new1, g));
    const square = f64x2.add(f64x2.mul(old2, wide(v)), f64x2.mul(f64x2.mul(new2, g), g));
    narrow(mean, m);
    narrow(square, v);
    const root = f64x2.add(f64x2.div(f64x2.sqrt(square), f64x2.splat(correction)), f64x2.splat(epsilon));
    const step = f64x2.div(f64x2.mul(f64x2.splat(stepSize), mean), root);
    const moved = f64x2.sub(f64x2.mul(wide(values), f64x2.splat(decayBefore)), step);
    narrow(f64x2.mul(moved, f64x2.splat(decayAfter)), values);
  }
}

// @ts-expect-error: decorator
@inline
function wide(from: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(from));
}

// @ts-expect-error: decorator
@inline
function narrow(x: v128, to: usize): void {
  v128.store64_lane(to, f32x4.demote_f64x2_zero(x), 0);
}
