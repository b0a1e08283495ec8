import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { lockFolder } from '../../src/cli/lock.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();

describe('a folder that a run writes into', () => {
  it('is taken, and refused while another process that has it lives', () => {
    lockFolder(at('out'));
    expect(readdirSync(at('out'))).toEqual([`.lock-${process.pid}`]);
    mkdirSync(at('taken'));
    writeFileSync(at('taken', `.lock-${process.ppid}`), '');
    expect(userErrorOf(() => lockFolder(at('taken')), at('taken'))).toContain(`proceso ${process.ppid}`);
    expect(readdirSync(at('taken'))).toEqual([`.lock-${process.ppid}`]);
  });

  it('is free again after a process that was killed', () => {
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    mkdirSync(at('left'));
    writeFileSync(at('left', `.lock-${gone}`), '');
    lockFolder(at('left'));
    expect(readdirSync(at('left'))).toEqual([`.lock-${process.pid}`]);
  });

  it('is never had by two that take it at the same moment, and goes with what it held', { timeout: 60_000 }, async () => {
    const folders = Array.from({ length: 100 }, (_, i) => at('raced', String(i)));
    const runs = [1, 2].map(() => spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', `
      import { lockFolder } from './src/cli/lock.ts';
      process.setMaxListeners(0);
      process.stdout.write(' ');
      process.stdin.once('data', (start) => process.stdout.write(JSON.stringify(
        ${JSON.stringify(folders)}.map((folder, i) => {
          while (performance.timeOrigin + performance.now() < Number(start) + 2 * i);
          try {
            lockFolder(folder);
            return 1;
          } catch (error) {
            return error.message.startsWith('--output: en «' + folder) ? 0 : error.stack;
          }
        }))));
    `], { stdio: ['pipe', 'pipe', 'inherit'] }));
    const said = runs.map(({ stdout }) => text(stdout));
    await Promise.all(runs.map(({ stdout }) => once(stdout, 'readable')));
    runs.forEach(({ stdin }) => stdin.write(String(Date.now() + 50)));
    await new Promise((resolve) => setTimeout(resolve, 1000)); // no lock goes before all are taken
    runs.forEach(({ stdin }) => stdin.end());
    const [first, second] = (await Promise.all(said)).map((json) => JSON.parse(json) as number[]);
    folders.forEach((folder, i) => expect([0, 1], folder).toContain(first![i]! + second![i]!));
    expect(readdirSync(at('raced'))).toEqual([]);
  });
});
