import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CLIError, CLIErrorCode, marpCli as run } from '@marp-team/marp-cli';
import { UserError } from '../errors.ts';
import type { Edition } from './engine.ts';
import { inSpanish } from './player.ts';

/** What is answered where there is no browser. */
export const noBrowser = 'No hay navegador con que imprimir el PDF: instala Chromium («apt-get install chromium») '
  + 'o di dónde está con CHROME_PATH=/ruta/a/chromium.';

/**
 * marp-cli with our configuration: the player around the slides, and the printer.
 * @throws UserError if there is no browser to print with
 */
export async function marpCli(edition: Edition, ...args: readonly string[]): Promise<void> {
  const { warn, error } = console;
  process.env.DECK_EDITION = JSON.stringify(edition);
  console.warn = console.error = () => {}; // it narrates in English, and throws what goes wrong as well
  try {
    const code = await run(['--config-file', 'src/deck/marp.config.js', ...args]);
    if (code !== 0) throw new Error(`marp-cli terminó con el código ${code}`);
  } catch (thrown) {
    if (!(thrown instanceof CLIError) || thrown.errorCode !== CLIErrorCode.NOT_FOUND_BROWSER) throw thrown;
    throw new UserError(noBrowser);
  } finally {
    Object.assign(console, { warn, error });
    delete process.env.DECK_EDITION;
  }
}

/**
 * The page that marp-cli makes of a deck: its player in Spanish, fonts and scripts inside, around the slides.
 * @throws UserError if a slide asks for something that does not exist
 */
export async function deckHtml(deck: string, edition: Edition = {}): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'modulo-2-'));
  try {
    const file = join(folder, 'index.html');
    await marpCli(edition, deck, '--output', file);
    return inSpanish(readFileSync(file, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
