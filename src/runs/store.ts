import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { keptPerFile } from '../checkpoint/kept.ts';
import { runRecord } from './schema.ts';
import type { RunRecord } from './schema.ts';

/** Where the records that slides embed are kept. */
export const runsFolder = 'assets/runs';

/** The records there are, by id. */
export function listRuns(folder = runsFolder): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length)).sort();
}

/** @throws UserError when the record is not valid */
export function readRun(id: string, folder = runsFolder): RunRecord | undefined {
  const file = join(folder, `${id}.json`);
  return existsSync(file) ? readJson(file, runRecord) : undefined;
}

/** Writes a record beside the others, under its id. */
export function writeRun(record: RunRecord, folder = runsFolder): void {
  saveRun(join(folder, `${record.id}.json`), record);
}

export function saveRun(file: string, record: RunRecord): void {
  // An event a line: a run is read, compared and kept in git as text.
  const { events, ...rest } = runRecord.parse(record);
  const head = JSON.stringify(rest, null, 1).slice(0, -2);
  writeFileAtomic(file, `${head},\n "events": [\n${events.map((event) => `  ${JSON.stringify(event)}`).join(',\n')}\n ]\n}\n`);
}

/** A record's file: as long as it is as it was, the same object. */
export const keptRun = keptPerFile((file) => readJson(file, runRecord));
