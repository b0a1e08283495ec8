import { statSync } from 'node:fs';
import { exportDeck } from '../deck/export.ts';
import { formatBytes } from '../format.ts';
import { lookOptions } from './look.ts';
import { runCommand } from './main.ts';
import { option, text, toggle } from './options.ts';
import { checkOutput } from './output.ts';
import { completePage } from './page/complete.ts';

const table = {
  deck: option('deck', 'ARCHIVO', 'presentación, en Markdown', text('un archivo Markdown'), 'slides/modulo-2.md'),
  output: option('output', 'DIR', 'carpeta en que se escribe', text('una carpeta'), 'dist'),
  ...lookOptions,
  notes: toggle('sin-notas', 'nada de lo que se escribe lleva las notas; quita notas.txt', false),
};

/** `npm run export`: the deck as HTML, in which runs play back, as PDF, handout and PPTX; its notes as text. */
await runCommand({
  name: 'npm run export',
  about: `Escribe la presentación en HTML, donde se reproducen las ejecuciones grabadas, y en PDF; los apuntes, para imprimir en A4:
cada diapositiva sobre sus notas y todo lo que midió su experimento; un PPTX, de imágenes con sus notas; y las notas en
texto. PDF, apuntes y PPTX se hacen con Chromium; CHROME_PATH dice dónde está.`,
  options: table,
}, async (flags) => {
  const { deck, output, theme, size, notes } = flags;
  checkOutput('--output', output);
  await exportDeck(deck, output, {
    look: { theme, size },
    notes,
    complete: completePage,
    show: (path) => void process.stdout.write(`${path}: ${formatBytes(statSync(path).size)}\n`),
  });
});
