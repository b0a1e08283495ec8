import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { formatDuration } from '../format.ts';
import { clock } from '../live/pace.ts';
import { wasGiven } from '../live/clock.ts';
import type { TalkTimes } from '../live/clock.ts';
import type { Limits } from '../live/runner.ts';
import type { TimedEvent } from '../runs/events.ts';
import { experiments } from '../runs/experiments.ts';
import type { ExperimentId } from '../runs/experiments.ts';
import type { RunRecord } from '../runs/schema.ts';
import type { BackendName } from '../tensor/backend.ts';

/** What a rehearsal measured on this machine, in seconds, by experiment. */
const rehearsal = z.record(z.string(), z.object({
  seconds: z.number(),
  /** The longest that the run told nothing. */
  silence: z.number(),
}));
export type Rehearsal = z.infer<typeof rehearsal>;

const file = (folder: string) => join(folder, 'rehearsal.json');

/** @throws UserError if the file is not a rehearsal's */
export function readRehearsal(folder: string): Rehearsal {
  return existsSync(file(folder)) ? readJson(file(folder), rehearsal) : {};
}

export function writeRehearsal(folder: string, measured: Rehearsal): void {
  writeFileAtomic(file(folder), `${JSON.stringify(measured, null, 1)}\n`);
}

/** The longest that a run told nothing, in seconds. */
export function longestSilence(events: readonly TimedEvent[]): number {
  const moments = [0, ...events.flatMap(({ at }) => (at === undefined ? [] : [at]))];
  return Math.max(0, ...moments.slice(1).map((at, i) => at - moments[i]!));
}

/**
 * What a live run may take, in seconds: the experiment's own budget unless another is asked for; and in silence,
 * several times as long as it has been silent before, here or where it was recorded, within that budget.
 */
export function limitsOf(
  id: ExperimentId, record: RunRecord | undefined, rehearsed: Rehearsal, budget = experiments[id].budget as number,
): Limits {
  const silence = rehearsed[id]?.silence ?? longestSilence(record?.events ?? []);
  return { budget, silence: Math.min(budget, Math.max(15, 4 * silence)) };
}

/** How an experiment fared, beside the time that it has: a row for the terminal. */
export function rehearsalRow(id: ExperimentId, seconds: number): string[] {
  const { title, budget } = experiments[id];
  const told = seconds <= budget ? 'cabe' : 'NO CABE: se mostrará lo grabado';
  return [title, formatDuration(seconds), formatDuration(budget), told];
}

/** Arguments of Node that start the process of an experiment, with options of the demo. */
export function experimentCommand(backend: BackendName | undefined): string[] {
  return ['--import', './src/start.js', 'src/cli/experiment.ts', ...(backend === undefined ? [] : ['--backend', backend])];
}

/** What each slide of a talk took, by the presenter's clock. */
const talkTimes = z.object({
  startedAt: z.iso.datetime(),
  slides: z.array(z.object({ title: z.string(), share: z.number(), seconds: z.number() })),
});

const talks = (folder: string) => join(folder, 'talks');

/** Writes the times of a talk in a file of its own, which each slide rewrites. */
export function writeTimes(folder: string, times: TalkTimes): void {
  writeFileAtomic(join(talks(folder), `${times.startedAt.replaceAll(':', '-')}.json`), `${JSON.stringify(times, null, 1)}\n`);
}

/**
 * The times of the latest talk, if there has been one.
 * @throws UserError if a file is another thing
 */
export function latestTimes(folder: string): TalkTimes | undefined {
  if (!existsSync(talks(folder))) return undefined;
  const names = readdirSync(talks(folder)).filter((name) => name.endsWith('.json')).sort().reverse();
  for (const name of names) {
    const times = readJson(join(talks(folder), name), talkTimes);
    if (wasGiven(times)) return times;
  }
  return undefined;
}

/** What each slide took, beside its share: a table for the terminal. */
export function timesTable({ slides }: TalkTimes): string[][] {
  const row = (name: string, seconds: number, share: number) => {
    const over = Math.round(seconds - share);
    const told = over === 0 ? 'justo' : `${clock(Math.abs(over))} ${over > 0 ? 'de más' : 'de menos'}`;
    return [name, clock(seconds), clock(share), seconds === 0 ? 'sin enseñar' : told];
  };
  const sum = (of: 'seconds' | 'share') => slides.reduce((total, slide) => total + slide[of], 0);
  return [
    ['diapositiva', 'tardó', 'tiempo', ''],
    ...slides.map(({ title, seconds, share }) => row(title, seconds, share)),
    row('toda la charla', sum('seconds'), sum('share')),
  ];
}
