import { z } from 'zod';
import { timedEvent } from '../runs/events.ts';
import { runHeader } from '../runs/schema.ts';

/**
 * Between the server and the process that runs an experiment, over Node's channel between processes, one JSON value a
 * message. The process is started beforehand, says `ready` when all that it needs is in memory, gets one order, and
 * is killed when it is done with it.
 */
export const order = z.object({
  id: z.string(),
  /** An edited program to take the place of the experiment's own: an absolute path. */
  edited: z.string().optional(),
});
export type Order = z.infer<typeof order>;

export const childMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({ type: z.literal('header'), header: runHeader }),
  /** `sentAt`: the clock of the machine, in milliseconds, by which latencies are measured. */
  z.object({ type: z.literal('event'), event: timedEvent, sentAt: z.number() }),
  z.object({ type: z.literal('finished') }),
  z.object({ type: z.literal('failed'), message: z.string() }),
]);
export type ChildMessage = z.infer<typeof childMessage>;
