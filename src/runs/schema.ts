import { z } from 'zod';
import { timedEvent } from './events.ts';
import type { TimedEvent } from './events.ts';

/**
 * A run record: what one run leaves behind, in `assets/runs/<id>.json`. It is the only thing
 * that crosses from computing to showing; a slide reads it and never computes.
 */
export const runRecord = z.object({
  format: z.literal(1),
  id: z.string().regex(/^[a-z0-9-]+$/),
  /** Spanish, for captions. */
  title: z.string(),
  startedAt: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  /** The command that reproduces it. */
  command: z.string(),
  provenance: z.object({
    commit: z.string().nullable(),
    /** Whether the working tree differed from the commit. */
    dirty: z.boolean(),
    backend: z.string(),
    machine: z.object({
      cpu: z.string(),
      cores: z.number().int(),
      memoryBytes: z.number(),
      platform: z.string(),
      node: z.string(),
    }),
    /** Files that the result depends on. */
    inputs: z.array(z.object({ path: z.string(), sha256: z.string() })),
    /** What it was computed with: hashes of the project's files, versions of packages; runs of old do not say. */
    code: z.object({
      files: z.record(z.string(), z.string()),
      packages: z.record(z.string(), z.string()),
      lock: z.string(),
    }).optional(),
    /** What it depends on that was downloaded, held fast: a repository by its commit, an address by its SHA-256. */
    sources: z.array(z.object({
      kind: z.enum(['model', 'dataset', 'url']), name: z.string(), revision: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/),
    })).optional(),
  }),
  parameters: z.record(z.string(), z.json()),
  /** The measured figures, as a tree: `{{id.some.path}}` on a slide walks it. */
  results: z.record(z.string(), z.json()),
  events: z.array(timedEvent),
});

export type RunRecord = z.infer<typeof runRecord>;

/** What is known of a run before it has measured anything. */
export const runHeader = runRecord.omit({ seconds: true, results: true, events: true });
export type RunHeader = z.infer<typeof runHeader>;

/** The figures that the events of a run tell, as far as they have come. */
export function resultsOf(events: readonly TimedEvent[]): RunRecord['results'] {
  const told = events.map((event) => (event.type === 'result' ? event.results : {}));
  return Object.assign({}, ...told) as RunRecord['results'];
}

/** The record of a run as far as it has come: all of it once the last event is in. */
export function recordOf(header: RunHeader, events: readonly TimedEvent[]): RunRecord {
  return { ...header, seconds: events.at(-1)?.at ?? 0, results: resultsOf(events), events: [...events] };
}

/** A recorded run as what it was told by; the figures of one that did not tell them come at its end. */
export function toldBy(
  { seconds, results, events, ...header }: RunRecord,
): { readonly header: RunHeader; readonly events: readonly TimedEvent[] } {
  const told = events.some(({ type }) => type === 'result');
  return { header, events: told ? events : [...events, { type: 'result', results, at: seconds }] };
}
