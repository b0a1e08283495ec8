import { existsSync, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';

/** After the last change of a burst, in milliseconds: an editor saves in several steps. */
const settle = 30;

/** How often the runs of other terminals are looked for, in milliseconds: their folders come and go. */
const poll = 500;

/**
 * Calls back when a file of some folders has changed, hidden ones apart; those that are not there are passed over.
 * @param failed told of a folder that cannot be watched: each person has so many watches, and editors take them
 * @returns stops it
 */
export function watchFolders(
  folders: readonly string[], changed: (path: string) => void, failed: (error: UserError) => void,
): () => void {
  const timers = new Map<string, NodeJS.Timeout>();
  const watchers = folders.filter((folder) => existsSync(folder)).flatMap((folder) => {
    const giveUp = ({ code }: NodeJS.ErrnoException) => failed(new UserError(
      `No se vigila «${folder}» (${code}): lo que cambie ahí se verá cuando «npm run talk» empiece otra vez.`));
    try {
      return watch(folder, (_event, name) => {
        if (name === null || name.startsWith('.') || name.endsWith('.tmp')) return;
        const path = join(folder, name);
        clearTimeout(timers.get(path));
        timers.set(path, setTimeout(changed, settle, path));
      }).on('error', giveUp);
    } catch (error) {
      giveUp(error as NodeJS.ErrnoException);
      return [];
    }
  });
  return () => {
    watchers.forEach((watcher) => watcher.close());
    timers.forEach((timer) => clearTimeout(timer));
  };
}

/** The records that runs leave in folders of their own, `out/<name>/run.json`, newer than a moment (milliseconds). */
export function newRuns(folder: string, since: number): { readonly folder: string; readonly time: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).flatMap(({ name }) => {
    const time = statSync(join(folder, name, 'run.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
    return time > since ? [{ folder: join(folder, name), time }] : [];
  });
}

/** Calls back when a run of any terminal has left its record. @returns stops it */
export function watchRuns(folder: string, changed: () => void): () => void {
  let seen = Date.now();
  const timer = setInterval(() => {
    const latest = Math.max(...newRuns(folder, seen).map(({ time }) => time));
    if (latest <= seen) return;
    seen = latest;
    changed();
  }, poll);
  return () => clearInterval(timer);
}
