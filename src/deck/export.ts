import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeFileAtomic } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { executable, launch } from './chromium.ts';
import type { Edition } from './engine.ts';
import { handoutHtml } from './handout.ts';
import { deckHtml, marpCli, noBrowser } from './marp-cli.ts';
import { notesText, readSlides } from './slides.ts';

export interface ExportOptions extends Edition {
  /** What the HTML gets besides the player and the slides. */
  readonly complete: (html: string) => Promise<string>;
  /** Told the path of each file as it is written. */
  readonly show: (path: string) => void;
}

/**
 * Writes the deck's notes, HTML, PDF, handout and PPTX, each whole or not at all; what needs a browser last, because
 * there may be none. Without notes nothing that is written has any, and the text of an earlier export goes.
 * @throws UserError if a slide asks for something that does not exist, or there is no browser
 */
export async function exportDeck(
  deck: string, folder: string, { look = {}, notes = true, complete, show }: ExportOptions,
): Promise<void> {
  const path = (end: string) => join(folder, basename(deck, '.md') + end);
  const text = join(folder, 'notas.txt');
  const slides = readSlides(deck);
  if (notes) {
    writeFileAtomic(text, notesText(slides));
    show(text);
  } else {
    rmSync(text, { force: true });
  }
  writeFileAtomic(path('.html'), await complete(await deckHtml(deck, { look, notes })));
  show(path('.html'));
  await whole(path('.pdf'), (file) => marpCli({ look, notes }, deck, '--pdf', ...notes ? ['--pdf-notes'] : [], '--pdf-outlines',
    '--pdf-outlines.pages=false', ...patience, '--output', file));
  show(path('.pdf'));
  await whole(path('-apuntes.pdf'), (file) => print(handoutHtml(deck, { size: look.size, notes }), file));
  show(path('-apuntes.pdf'));
  await whole(path('.pptx'), (file) => marpCli({ look, notes }, deck, '--pptx', ...patience, '--output', file));
  show(path('.pptx'));
}

/** A browser, on a busy machine, may take its time. */
const patience = ['--browser-timeout', '120'];

/** A printer writes where it is told at once; here it writes beside, and the file takes its name when it is whole. */
async function whole(path: string, write: (file: string) => Promise<void>): Promise<void> {
  const beside = mkdtempSync(`${path}.`);
  try {
    const file = join(beside, basename(path));
    await write(file);
    renameSync(file, path);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** Prints a page on the paper that its style asks for, with an outline of its headings. */
async function print(html: string, path: string): Promise<void> {
  if (executable === undefined) throw new UserError(noBrowser);
  const folder = mkdtempSync(join(tmpdir(), 'modulo-2-'));
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const file = join(folder, 'pagina.html');
    writeFileAtomic(file, html);
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(() => document.fonts.ready);
    await page.pdf({ path, preferCSSPageSize: true, printBackground: true, outline: true, tagged: true });
  } finally {
    await browser.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
