import type { ReadRun } from '../deck/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import { readRun } from '../runs/store.ts';
import { newRuns } from './watch.ts';

/**
 * The latest record of each run: the one of the slides, unless some terminal has left a newer one since the talk began.
 * @param folder where runs leave their records, each in a folder of its own
 */
export function latestRuns(folder: string): ReadRun {
  const began = Date.now();
  return (id) => {
    const records = newRuns(folder, began).map((run) => readRun('run', run.folder)).filter((record) => record?.id === id);
    return [readRun(id), ...records].reduce<RunRecord | undefined>((latest, record) =>
      (record && (!latest || record.startedAt > latest.startedAt) ? record : latest), undefined);
  };
}
