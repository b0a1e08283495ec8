import { statSync } from 'node:fs';
import { exportDeck } from '../deck/export.ts';
import { formatBytes } from '../format.ts';
import { withRecordings } from '../live/recordings.ts';
import { readRun } from '../runs/store.ts';
import { lookOptions } from './look.ts';
import { runCommand } from './main.ts';
import { helpText, option, parseOptions, text, toggle } from './options.ts';

const command = 'npm run export';
const table = {
  deck: option('deck', 'FICHERO', 'presentación, en Markdown', text('un fichero Markdown'), 'slides/modulo-2.md'),
  output: option('output', 'DIR', 'carpeta en que se escribe', text('una carpeta'), 'dist'),
  ...lookOptions,
  help: toggle('help', 'esta ayuda'),
};

/** `npm run export`: the deck as HTML, in which the recorded runs play back, and PDF; and its notes as text. */
await runCommand(async () => {
  const flags = parseOptions(table, process.argv.slice(2), command);
  if (flags.help) {
    process.stdout.write(`${helpText(`Uso: ${command} -- [opciones]

Escribe la presentación en HTML, donde se reproducen las ejecuciones grabadas, y PDF, y las notas en texto.
El PDF se imprime con Chromium; CHROME_PATH dice dónde está.`,
    { Opciones: table })}\n`);
    return;
  }
  const { deck, output, theme, size } = flags;
  await exportDeck(deck, output, {
    look: { theme, size },
    complete: (html) => withRecordings(html, (id) => readRun(id)),
    show: (path) => void process.stdout.write(`${path}: ${formatBytes(statSync(path).size)}\n`),
  });
});
