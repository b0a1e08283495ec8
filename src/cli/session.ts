import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import type { Session } from '../live/start.ts';

const session = z.object({
  token: z.string(),
  clock: z.object({
    startedAt: z.number(), slide: z.number(), since: z.number(), spent: z.array(z.number().nullable()),
  }).optional(),
});

const sessionFile = (folder: string) => join(folder, 'session.json');
/** A talk that was cut short goes on within this time, in milliseconds. */
const cutShort = 3_600_000;

/** Writes the session of a talk, for its own eyes: who has its key may run programs. */
export function writeSession(folder: string, kept: Session): void {
  writeFileAtomic(sessionFile(folder), JSON.stringify(kept), 0o600);
}

/**
 * The session of a talk that was cut short a while ago.
 * @throws UserError if its file is another thing
 */
export function interruptedSession(folder: string): Session | undefined {
  const file = sessionFile(folder);
  if (!existsSync(file) || Date.now() - statSync(file).mtimeMs > cutShort) return undefined;
  const { token, clock } = readJson(file, session);
  return { token, clock: clock && { ...clock, spent: clock.spent.map((time) => time ?? 0) } };
}

/** A talk that comes to its end leaves none. */
export function removeSession(folder: string): void {
  rmSync(sessionFile(folder), { force: true });
}
