import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../checkpoint/files.ts';
import type { Look } from './look.ts';
import { deckHtml, marpCli } from './marp-cli.ts';
import { notesText, readSlides } from './slides.ts';

export interface ExportOptions {
  readonly look: Look;
  /** What the HTML gets besides the player and the slides. */
  readonly complete: (html: string) => Promise<string>;
  /** Told the path of each file as it is written. */
  readonly show: (path: string) => void;
}

/**
 * Writes the deck's notes, HTML and PDF, each whole or not at all. The PDF last, because it needs a browser; which, on
 * a busy machine, may take its time.
 * @throws UserError if a slide asks for something that does not exist, or there is no browser
 */
export async function exportDeck(deck: string, folder: string, { look, complete, show }: ExportOptions): Promise<void> {
  const notes = join(folder, 'notas.txt');
  writeFileAtomic(notes, notesText(readSlides(deck)));
  show(notes);
  const path = (extension: string) => join(folder, `${basename(deck, '.md')}.${extension}`);
  writeFileAtomic(path('html'), await complete(await deckHtml(deck, look)));
  show(path('html'));
  await print(deck, path('pdf'), look);
  show(path('pdf'));
}

/** marp-cli writes where it is told at once; here it writes beside, and the file takes its name when it is whole. */
async function print(deck: string, path: string, look: Look): Promise<void> {
  const beside = mkdtempSync(`${path}.`);
  try {
    const file = join(beside, basename(path));
    await marpCli(look, deck, '--pdf', '--pdf-notes', '--pdf-outlines', '--browser-timeout', '120', '--output', file);
    renameSync(file, path);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}
