import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { marpCli } from '../deck/marp-cli.ts';
import { startPreview } from '../deck/preview.ts';
import { readSlides } from '../deck/slides.ts';
import { runsFolder } from '../runs/store.ts';
import { lookOptions } from './look.ts';
import { explain, runCommand } from './main.ts';
import { helpText, integer, option, parseOptions, text, toggle } from './options.ts';
import type { Kind } from './options.ts';

const command = 'npm run slides';
const port: Kind<number> = {
  schema: integer(0).schema.pipe(z.number().max(65_535)),
  expected: 'un puerto, de 0 (uno libre) a 65535',
};
const table = {
  deck: option('deck', 'FICHERO', 'presentación, en Markdown', text('un fichero Markdown'), 'slides/modulo-2.md'),
  port: option('port', 'N', 'puerto en este equipo; 0, uno libre', port, '8080'),
  ...lookOptions,
  help: toggle('help', 'esta ayuda'),
};

/** `npm run slides`: the deck in the browser, drawn again when its text, theme, code or measurements change. */
await runCommand(async () => {
  const flags = parseOptions(table, process.argv.slice(2), command);
  if (flags.help) {
    process.stdout.write(`${helpText(`Uso: ${command} -- [opciones]

Muestra la presentación en el navegador, solo en este equipo, y la recarga cuando cambian el texto, el tema o las medidas.`,
    { Opciones: table })}\n`);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'modulo-2-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit());

  const page = join(folder, 'index.html');
  const preview = await startPreview({
    async render() {
      readSlides(flags.deck); // what is wrong in a slide is told in a sentence
      await marpCli({ theme: flags.theme, size: flags.size }, flags.deck, '--output', page);
      return readFileSync(page, 'utf8');
    },
    folders: [dirname(flags.deck), 'assets/theme', 'assets/fonts', runsFolder, 'demo'],
    port: flags.port,
    drawn: (error) => process.stderr.write(`${error === undefined ? 'Recargada.' : explain(error)}\n`),
  });
  process.stdout.write(`${preview.url}\nLa tecla «p» abre la vista del presentador, con las notas. Ctrl-C termina.\n`);
});
