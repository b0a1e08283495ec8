import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { codeChanges, codeOf } from './code.ts';
import type { RunRecord } from './schema.ts';

/**
 * Where, on what, from which files and with which code a run comes. The files are those that it has just read.
 * @param id of the experiment, whose program is `demo/<id>.ts`
 */
export function provenance(id: string, backend: string, inputs: readonly string[]): RunRecord['provenance'] {
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
    inputs: inputs.map((path) => ({ path: path.replaceAll('\\', '/'), sha256: sha256(path) })),
    code: codeOf(programOf(id)),
  };
}

/** What has changed since a run was recorded, in words; nothing, while it still holds. */
export function staleness({ id, provenance: { inputs, code } }: RunRecord): string[] {
  const data = inputs.filter(({ path, sha256: before }) => !existsSync(path) || sha256(path) !== before)
    .map(({ path }) => `${existsSync(path) ? 'cambió' : 'falta'} ${path}`);
  if (!code) return [...data, 'no dice con qué código se hizo'];
  return [...data, ...codeChanges(code, codeOf(programOf(id)))];
}

/** The program that a run is of bears its name. */
const programOf = (id: string): string => `demo/${id}.ts`;

/** By pieces: the weights of a real model do not fit in one buffer. */
function sha256(path: string): string {
  const hash = createHash('sha256');
  const piece = new Uint8Array(1 << 20);
  const file = openSync(path, 'r');
  try {
    for (let length; (length = readSync(file, piece)) > 0;) hash.update(piece.subarray(0, length));
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

/** What git prints; null outside a repository, or without git. */
function git(...args: string[]): string | null {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return null;
  }
}
