import { watch } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { deckHtml } from '../../src/deck/marp-cli.ts';

it('makes a page without writing into the project, which may not be ours to write', async () => {
  const written = new Set<string | null>();
  const watcher = watch('.', (_event, name) => {
    if (name?.startsWith('marp')) written.add(name);
  });
  try {
    expect(await deckHtml('slides/modulo-2.md')).toContain('</html>');
    await setTimeout(200); // what was written is told a moment later
    expect([...written]).toEqual([]);
  } finally {
    watcher.close();
  }
}, 60_000);

it('makes each page in the edition that is asked for', async () => {
  const pages = [await deckHtml('slides/modulo-2.md', { notes: true }), await deckHtml('slides/modulo-2.md', { notes: false })];
  expect(pages.map((page) => /<div class="bespoke-marp-note/.test(page))).toEqual([true, false]);
}, 60_000);
