import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ReadRun } from '../deck/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import { keptRun, runsFolder } from '../runs/store.ts';
import { newRuns } from './watch.ts';

/**
 * The latest record of each run: the one of the slides, unless some terminal has left a newer one since the talk began.
 * As long as its file is the same, so is the object: what was drawn of it need not be drawn again.
 * @param folder where runs leave their records, each in a folder of its own
 */
export function latestRuns(folder: string): ReadRun {
  const began = Date.now();
  return (id) => {
    const records = newRuns(folder, began).map((run) => keptRun(join(run.folder, 'run.json'))).filter((record) => record.id === id);
    const shown = join(runsFolder, `${id}.json`);
    if (existsSync(shown)) records.push(keptRun(shown));
    return records.reduce<RunRecord | undefined>((latest, record) =>
      (latest && latest.startedAt >= record.startedAt ? latest : record), undefined);
  };
}
