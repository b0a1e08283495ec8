import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lockFolder } from '../../src/cli/lock.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();

describe('a folder that a run writes into', () => {
  it('is taken, and refused while the process that has it lives', () => {
    lockFolder(at('out'));
    expect(readFileSync(at('out', '.lock'), 'utf8')).toBe(String(process.pid));
    writeFileSync(at('out', '.lock'), String(process.ppid));
    expect(userErrorOf(() => lockFolder(at('out')), at('out'))).toContain(`proceso ${process.ppid}`);
  });

  it('is free again after a process that was killed', () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(at('out', '.lock'), String(gone));
    lockFolder(at('out'));
    expect(readFileSync(at('out', '.lock'), 'utf8')).toBe(String(process.pid));
  });
});
