import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { sha256Of } from '../checkpoint/files.ts';
import type { Pin } from '../checkpoint/hub.ts';
import { keptPerFile } from '../checkpoint/kept.ts';
import { codeChanges, codeOf } from './code.ts';
import type { RunRecord } from './schema.ts';

/**
 * Where, on what, from which files and with which code a run comes. The files are those that it has just read; what
 * was downloaded is held by its pin, wherever its files lie.
 * @param id of the experiment, whose program is `demo/<id>.ts`
 */
export function provenance(
  id: string, backend: string, inputs: readonly string[], sources: readonly Pin[] = [],
): RunRecord['provenance'] {
  const processors = cpus();
  return {
    commit: git('rev-parse', '--short=10', 'HEAD'),
    dirty: Boolean(git('status', '--porcelain', '--', 'src', 'demo', 'package-lock.json')),
    backend,
    machine: {
      cpu: processors[0]?.model.trim() ?? 'desconocida',
      cores: processors.length,
      memoryBytes: totalmem(),
      platform: `${process.platform} ${process.arch}`,
      node: process.version,
    },
    inputs: inputs.map((path) => ({ path: path.replaceAll('\\', '/'), sha256: hashOf(path) })),
    ...(sources.length > 0 && { sources: [...sources] }),
    code: codeOf(programOf(id)),
  };
}

/** A talk asks for the model's at each change of its deck, and a run for what it goes on from and what it records. */
export const hashOf = keptPerFile(sha256Of);

/** What has changed since a run was recorded, in words; nothing, while it still holds. */
export function staleness({ id, provenance: { inputs, code } }: RunRecord): string[] {
  const data = inputs.filter(({ path, sha256 }) => !existsSync(path) || hashOf(path) !== sha256)
    .map(({ path }) => `${existsSync(path) ? 'cambió' : 'falta'} ${path}`);
  if (!code) return [...data, 'no dice con qué código se hizo'];
  return [...data, ...codeChanges(code, codeOf(programOf(id)))];
}

/** The program that a run is of bears its name; `npm run bench` has its steps elsewhere. */
const programOf = (id: string): string => (id.startsWith('bench') ? 'src/train/measure.ts' : `demo/${id}.ts`);

/** What git prints; null outside a repository, or without git. */
function git(...args: string[]): string | null {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}
