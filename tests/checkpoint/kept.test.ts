import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { keptPerFile } from '../../src/checkpoint/kept.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();
const settle = () => new Promise((resolve) => { setTimeout(resolve, 150); });

describe('what is made of a file', () => {
  it('is made again only when the file has changed, even into one as long and as old', async () => {
    const file = at('file');
    const make = vi.fn((path: string) => readFileSync(path, 'utf8'));
    const read = keptPerFile(make);
    writeFileSync(file, 'one');
    utimesSync(file, 1000, 1000);
    await settle();
    expect([read(file), read(file)]).toEqual(['one', 'one']);
    expect(make).toHaveBeenCalledTimes(1);
    writeFileSync(file, 'two');
    utimesSync(file, 1000, 1000);
    expect(read(file)).toBe('two');
  });

  it('is not trusted right after a change, when the clock of the disk may not tell the next one', () => {
    const file = at('quick');
    const make = vi.fn((path: string) => readFileSync(path, 'utf8'));
    const read = keptPerFile(make);
    writeFileSync(file, 'one');
    expect([read(file), read(file)]).toEqual(['one', 'one']);
    expect(make).toHaveBeenCalledTimes(2);
  });

  it('is an error for a file that is gone', async () => {
    await expect(async () => keptPerFile(() => 1)(at('nowhere'))).rejects.toThrow('ENOENT');
  });
});
