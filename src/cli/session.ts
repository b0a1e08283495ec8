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

/** A port's own: its windows come back to it alone, and talks at two ports are two talks. */
const sessionFile = (folder: string, port: number) => join(folder, `session-${port}.json`);
/** A talk that was cut short goes on within this time, in milliseconds. */
const cutShort = 3_600_000;

/**
 * Writes the session of a talk, for its own eyes: who has its key may run programs. At any free port (0) there is
 * nothing to go on with.
 */
export function writeSession(folder: string, port: number, kept: Session): void {
  if (port !== 0) writeFileAtomic(sessionFile(folder, port), JSON.stringify(kept), 0o600);
}

/**
 * The session of a talk that was cut short a while ago.
 * @throws UserError if its file is another thing
 */
export function interruptedSession(folder: string, port: number): Session | undefined {
  const file = sessionFile(folder, port);
  if (!existsSync(file) || Date.now() - statSync(file).mtimeMs > cutShort) return undefined;
  const { token, clock } = readJson(file, session);
  return { token, clock: clock && { ...clock, spent: clock.spent.map((time) => time ?? 0) } };
}

/** A talk that comes to its end leaves none. */
export function removeSession(folder: string, port: number): void {
  rmSync(sessionFile(folder, port), { force: true });
}
