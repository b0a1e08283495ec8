import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { RunRecord } from './schema.ts';

/** Where, on what and from which files a run comes. The files are those that it has just read. */
export function provenance(backend: string, inputs: readonly string[]): RunRecord['provenance'] {
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
    inputs: inputs.map((path) => ({ path, sha256: sha256(path) })),
  };
}

/** Whether a file that the run depended on is no longer what it was. */
export function isStale(record: RunRecord): boolean {
  return record.provenance.inputs.some(({ path, sha256: before }) => !existsSync(path) || sha256(path) !== before);
}

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
