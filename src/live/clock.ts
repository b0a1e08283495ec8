import type { Plan } from '../deck/slides.ts';

/** The presenter's clock while it runs. Moments and times in milliseconds, by the machine's clock. */
export interface Clock {
  readonly startedAt: number;
  /** The slide on show, from 0, and since when. */
  readonly slide: number;
  readonly since: number;
  /** How long each slide has been on show, this time of the one on show apart. */
  readonly spent: readonly number[];
}

export const startClock = (slide: number, now: number): Clock => ({ startedAt: now, slide, since: now, spent: [] });

/** The clock once another slide is on show. */
export function turn(clock: Clock, slide: number, now: number): Clock {
  const spent = Object.assign([], clock.spent, { [clock.slide]: spentOn(clock, clock.slide, now) });
  return { ...clock, slide, since: now, spent };
}

/** How long a slide has been on show, in milliseconds: none while the machine's clock, set back, is before that. */
export function spentOn({ slide: shown, since, spent }: Clock, slide: number, now: number): number {
  return (spent[slide] ?? 0) + (slide === shown ? Math.max(0, now - since) : 0);
}

/** How long a clock that was stopped can be set going again where it stood, in milliseconds: a key is soon pressed. */
const forgiven = 10_000;

/** A clock that starts now, or goes on with one that was stopped by mistake, as if it never had been. */
export function restart(stopped: Clock | undefined, slide: number, now: number): Clock {
  return stopped && now - stopped.since <= forgiven ? turn(stopped, slide, now) : startClock(slide, now);
}

/** What each slide of a talk took: to be read before the next one. */
export interface TalkTimes {
  /** ISO 8601. */
  readonly startedAt: string;
  /** With each one's share of the talk; in seconds. */
  readonly slides: readonly { readonly title: string; readonly share: number; readonly seconds: number }[];
}

/** Whether it was a talk, and not a clock that was started and stopped. */
export const wasGiven = ({ slides }: TalkTimes): boolean => slides.filter(({ seconds }) => seconds > 0).length > 1;

export function timesOf(plans: readonly Plan[], clock: Clock, now: number): TalkTimes {
  const seconds = (slide: number) => Math.round(spentOn(clock, slide, now) / 100) / 10;
  return {
    startedAt: new Date(clock.startedAt).toISOString(),
    slides: plans.map(({ title, seconds: share = 0 }, i) => ({ title, share, seconds: seconds(i) })),
  };
}
