import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../checkpoint/files.ts';
import type { Look } from './look.ts';
import { marpCli } from './marp-cli.ts';
import { notesText, readSlides } from './slides.ts';

/** The PDF last, because it needs a browser; which, on a busy machine, may take its time. */
const formats = [
  ['html'],
  ['pdf', '--pdf', '--pdf-notes', '--pdf-outlines', '--browser-timeout', '120'],
] as const;

/**
 * Writes the deck's notes, HTML and PDF, each whole or not at all.
 * @param show told the path of each file as it is written
 * @throws UserError if a slide asks for something that does not exist, or there is no browser
 */
export async function exportDeck(
  deck: string, folder: string, look: Look, show: (path: string) => void,
): Promise<void> {
  const notes = join(folder, 'notas.txt');
  writeFileAtomic(notes, notesText(readSlides(deck)));
  show(notes);
  for (const [extension, ...flags] of formats) {
    const path = join(folder, `${basename(deck, '.md')}.${extension}`);
    await convert(deck, path, look, flags);
    show(path);
  }
}

/** marp-cli writes where it is told at once; here it writes beside, and the file takes its name when it is whole. */
async function convert(deck: string, path: string, look: Look, flags: readonly string[]): Promise<void> {
  mkdirSync(join(path, '..'), { recursive: true });
  const beside = mkdtempSync(`${path}.`);
  try {
    await marpCli(look, deck, ...flags, '--output', join(beside, basename(path)));
    renameSync(join(beside, basename(path)), path);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}
