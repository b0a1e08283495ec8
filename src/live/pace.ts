export interface Pace {
  readonly words: string;
  readonly mood: 'ahead' | 'on time' | 'behind';
}

/** Being this close to the plan, in seconds, is being on time. */
const tolerance = 15;

/**
 * How a talk stands against its plan.
 * @param shares seconds that each slide has
 * @param slide the one on show, from 0
 * @param elapsed seconds since the talk began
 */
export function pace(shares: readonly number[], slide: number, elapsed: number): Pace {
  const sum = (to: number) => shares.slice(0, to).reduce((total, share) => total + share, 0);
  const [starts, ends, total] = [sum(slide), sum(slide + 1), sum(shares.length)];
  const left = total - elapsed;
  const hour = left >= 0 ? `quedan ${clock(left)}` : `${clock(-left)} pasado de hora`;
  // While it is on show, a slide is on time from where it should begin to where it should end.
  if (elapsed > ends + tolerance) return { mood: 'behind', words: `${hour} · vas ${clock(elapsed - ends)} por detrás` };
  if (elapsed < starts - tolerance) return { mood: 'ahead', words: `${hour} · vas ${clock(starts - elapsed)} por delante` };
  return { mood: 'on time', words: `${hour} · vas a tiempo` };
}

/** «12:05». */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
