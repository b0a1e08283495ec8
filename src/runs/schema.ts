import { z } from 'zod';
import { trainEvent } from './events.ts';

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
  }),
  parameters: z.record(z.string(), z.json()),
  /** The measured figures, as a tree: `{{id.some.path}}` on a slide walks it. */
  results: z.record(z.string(), z.json()),
  events: z.array(trainEvent),
});

export type RunRecord = z.infer<typeof runRecord>;
