import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, formatCount } from '../format.ts';
import { experiments } from '../runs/experiments.ts';
import { staleness } from '../runs/provenance.ts';
import { listRuns, readRun } from '../runs/store.ts';

/** What may not grow: the page that is handed out, and a record, which is kept in git. In bytes. */
export const most = { page: 8 * 2 ** 20, record: 2 ** 20 } as const;

/** Recorded runs that would come out otherwise now. */
export function staleFaults(folder: string): string[] {
  return listRuns(folder).flatMap((id) => {
    const record = readRun(id, folder)!;
    const reasons = staleness(record);
    if (reasons.length === 0) return [];
    const rest = reasons.length > 3 ? [`y ${formatCount(reasons.length - 3, 'cambio')} más`] : [];
    const command = id in experiments ? 'npm run record' : record.command;
    return [`${join(folder, id)}.json, obsoleto: ${[...reasons.slice(0, 3), ...rest].join(', ')}; vuelve a medirlo con ${command}`];
  });
}

/** A page, or records, that have grown too large. @param html the page as it is handed out */
export function sizeFaults(html: string, folder: string): string[] {
  const page = Buffer.byteLength(html);
  return [
    ...(page > most.page ? [`la página ocupa ${formatBytes(page)}, y puede ${formatBytes(most.page)}`] : []),
    ...readdirSync(folder).map((name) => join(folder, name))
      .map((path) => ({ path, size: statSync(path).size }))
      .filter(({ size }) => size > most.record)
      .map(({ path, size }) => `${path} ocupa ${formatBytes(size)}, y puede ${formatBytes(most.record)}`),
  ];
}
