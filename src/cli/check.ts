import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { altFaults } from '../check/alt.ts';
import { axeFaults, contrastFaults, openDeck, overflowFaults } from '../check/browser.ts';
import { tokenFaults } from '../check/contrast.ts';
import { sizeFaults, staleFaults } from '../check/records.ts';
import { citationFaults, markdownLinkFaults, slideLinkFaults } from '../check/references.ts';
import { pagesOf } from '../check/slide.ts';
import { speller, spellingFaults } from '../check/spelling.ts';
import { executable, launch } from '../deck/chromium.ts';
import { sizes, themes } from '../deck/look.ts';
import { deckHtml } from '../deck/marp-cli.ts';
import { readSlides } from '../deck/slides.ts';
import { formatBytes, formatCount } from '../format.ts';
import { listRuns, runsFolder } from '../runs/store.ts';
import { runCommand } from './main.ts';
import { option, text, toggle } from './options.ts';
import { completePage } from './page/complete.ts';

const table = {
  deck: option('deck', 'ARCHIVO', 'presentación, en Markdown', text('un archivo Markdown'), 'slides/modulo-2.md'),
  browser: toggle('no-browser', 'sin lo que mide un navegador: desbordes, contraste pintado y accesibilidad', false),
};

/** `npm run check`: all that a deck must hold before it is shown, a line a check; ends with 1 if one fails. */
await runCommand({
  name: 'npm run check',
  about: `Comprueba la presentación: que nada se salga, el contraste, la accesibilidad, la ortografía, los enlaces y las citas, que
las medidas estén al día y los tamaños. Las palabras propias están en palabras.txt y las fuentes en bibliografia.md, junto
a la presentación.`,
  options: table,
}, async (flags) => {
  const began = performance.now();
  const { deck } = flags;
  const beside = (name: string) => {
    const path = join(dirname(deck), name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  let failed = 0;
  const tell = (name: string, good: string, faults: readonly string[]) => {
    failed += Number(faults.length > 0);
    const all = [...new Set(faults)];
    const outcome = all.length === 0 ? `✓ ${name}: ${good}` : `✗ ${name}: ${formatCount(all.length, 'fallo')}`;
    process.stdout.write(`${[outcome, ...all.map((fault) => `    ${fault}`)].join('\n')}\n`);
  };

  const pages = pagesOf(readSlides(deck));
  const markdown = readFileSync(deck, 'utf8');
  const slides = formatCount(pages.length, 'diapositiva');

  tell('medidas', `${formatCount(listRuns().length, 'ejecución', 'ejecuciones')} al día`, staleFaults(runsFolder));

  const css = Object.fromEntries(themes.map((name) => [name, readFileSync(`assets/theme/${name}.css`, 'utf8')]));
  tell('colores', 'texto a 7:1 o más y dibujo a 3:1 o más, a oscuras y en papel', tokenFaults(css));
  tell('textos alternativos', `cada imagen de ${slides} tiene el suyo`, altFaults(pages));
  tell('ortografía', `texto, notas y pies de ${slides}`, spellingFaults(pages, speller(beside('palabras.txt'))));

  const documents = [deck, join(dirname(deck), 'bibliografia.md'), 'README.md', 'README.es.md']
    .filter((path) => existsSync(path));
  tell('enlaces', `los de ${slides} y ${formatCount(documents.length, 'documento')}`, [
    ...slideLinkFaults(pages, dirname(deck)),
    ...documents.flatMap((path) => markdownLinkFaults(path, readFileSync(path, 'utf8'))),
  ]);
  tell('citas', 'todas con su fuente', citationFaults(pages, beside('bibliografia.md')));

  const page = await completePage(await deckHtml(deck)); // as it is exported
  tell('tamaños', `la página ocupa ${formatBytes(Buffer.byteLength(page))}`, sizeFaults(page, runsFolder));

  if (!flags.browser) {
    process.stdout.write('- desbordes, contraste pintado y accesibilidad: sin comprobar, por --no-browser\n');
  } else if (executable === undefined) {
    tell('navegador', '', ['no lo hay: instala Chromium («apt-get install chromium»), di dónde está con CHROME_PATH=/ruta/a/chromium '
      + 'o renuncia a lo que mide con --no-browser']);
  } else {
    const found = { overflow: [] as string[], contrast: [] as string[], axe: [] as string[] };
    const browser = await launch();
    try {
      for (const theme of themes) {
        for (const size of sizes) {
          const opened = await openDeck(browser, markdown, { look: { theme, size } });
          const where = (fault: string) => `${theme} ${size}, ${fault}`;
          found.overflow.push(...(await overflowFaults(opened)).map(where));
          found.contrast.push(...(await contrastFaults(opened)).map(where));
          found.axe.push(...(await axeFaults(opened)).map(where));
          await opened.close();
        }
      }
    } finally {
      await browser.close();
    }
    const looks = `${slides}, en ${sizes.join(' y ')}, tema ${themes.join(' y ')}`;
    tell('desbordes', looks, found.overflow);
    tell('contraste pintado', looks, found.contrast);
    tell('accesibilidad', `${looks} (axe)`, found.axe);
  }
  process.stdout.write(`${failed === 0 ? 'Todo bien' : `Fallan ${failed}`}, en ${formatCount(Math.round((performance.now() - began) / 1000), 'segundo')}.\n`);
  if (failed > 0) process.exitCode = 1;
});
