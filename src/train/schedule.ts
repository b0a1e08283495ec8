/** `exponential` is for finding a rate (see `finder.ts`), not for training with. */
export type Schedule = 'constant' | 'cosine' | 'exponential';

/** Factors of ten over which the exponential schedule climbs. */
export const DECADES = 5;

/**
 * The learning rate of step `step` (from 1) of `steps`: a linear climb over the warm-up, then the
 * peak for good, or half a cosine that would reach zero one step after the last. These are transformers'
 * `get_constant_schedule_with_warmup` and `get_cosine_schedule_with_warmup`, but for the climb: theirs begins with
 * a step at zero, which learns nothing, and ours is one step ahead. `exponential` multiplies the rate by the same
 * factor at every step, up to the peak at the last.
 */
export function learningRate(
  step: number,
  steps: number,
  { peak, warmupSteps, schedule }: { peak: number; warmupSteps: number; schedule: Schedule },
): number {
  if (schedule === 'exponential') return peak * 10 ** (-DECADES * (steps - step) / Math.max(1, steps - 1));
  if (step <= warmupSteps) return peak * step / warmupSteps;
  if (schedule === 'constant') return peak;
  const progress = (step - 1 - warmupSteps) / (steps - warmupSteps);
  return peak * 0.5 * (1 + Math.cos(Math.PI * progress));
}
