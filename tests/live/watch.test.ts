import type fs from 'node:fs';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';

const refused = vi.hoisted(() => new Set<string>());
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  return {
    ...real,
    watch: (...args: Parameters<typeof fs.watch>) => {
      if (refused.has(String(args[0]))) throw Object.assign(new Error('watch'), { code: 'ENOSPC' });
      return real.watch(...args);
    },
  };
});
const { watchFolders } = await import('../../src/live/watch.ts');

it('watches what it can, and tells of the folders that the system has no watch left for', async () => {
  const [watched, unwatched] = ['a', 'b'].map((name) => mkdtempSync(join(tmpdir(), `watch-${name}-`))) as [string, string];
  refused.add(unwatched);
  const changed: string[] = [];
  const failures: string[] = [];
  const stop = watchFolders(
    [unwatched, watched, join(watched, 'no-existe')], (path) => changed.push(path), ({ message }) => failures.push(message));
  try {
    expect(failures).toEqual([expect.stringMatching(`^No se vigila «${unwatched}» \\(ENOSPC\\): `)]);
    writeFileSync(join(watched, 'uno.md.tmp'), '');
    renameSync(join(watched, 'uno.md.tmp'), join(watched, 'uno.md'));
    await expect.poll(() => changed).toEqual([join(watched, 'uno.md')]);
  } finally {
    stop();
    for (const folder of [watched, unwatched]) rmSync(folder, { recursive: true });
  }
});
