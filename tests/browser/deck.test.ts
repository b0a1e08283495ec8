import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { inflateSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDeck, overflowFaults } from '../../src/check/browser.ts';
import { sizes, themes } from '../../src/deck/look.ts';
import { deckHtml } from '../../src/deck/marp-cli.ts';
import type { ReadRun } from '../../src/deck/provenance.ts';
import { fromElsewhere, readAll } from '../deck/record.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }); // a browser on a busy machine

const deck = 'slides/modulo-2.md';
const folder = mkdtempSync(join(tmpdir(), 'deck-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A PDF's objects as text, those packed in streams included. */
function objectsOf(pdf: Buffer): string {
  const text = pdf.toString('latin1');
  // With the line end before `endstream`: a stream may end in a byte that looks like one, and knows its own end.
  const packed = [...text.matchAll(/\/Type\s*\/ObjStm\b.*?stream\r?\n(.*?)endstream/gs)];
  return text + packed.map(([, stream = '']) => inflateSync(Buffer.from(stream, 'latin1')).toString('latin1')).join('\n');
}

/** The titles of a PDF's outline. */
function outlineOf(objects: string): string[] {
  return [...objects.matchAll(/\/Title\s*(?:<FEFF([0-9A-F]+)>|\(((?:[^()\\]|\\.)*)\))/g)].map(([, utf16, plain]) =>
    (utf16 === undefined ? plain!.replaceAll(/\\(.)/g, '$1') : Buffer.from(utf16, 'hex').swap16().toString('utf16le')));
}

const run = (...command: [string, ...string[]]) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', stdio: 'pipe' });
const without = 'sin pdfinfo ni pdftotext: instala poppler-utils';
const poppler = (() => {
  try {
    return run('pdfinfo', '-v') === '';
  } catch {
    return false;
  }
})();

describe.skipIf(!executable)(`the deck in Chromium${why}`, () => {
  let browser: Browser;
  beforeAll(async () => { browser = await launch(); });
  afterAll(() => browser.close());

  it.each<[string, ReadRun | undefined]>([
    ['with the committed runs', undefined],
    ['with no run', () => undefined],
    ['with stale runs from machines with long names', fromElsewhere(readAll)],
  ])('has ten slides and none overflows in either size, %s', async (_when, read) => {
    for (const size of sizes) {
      const page = await openDeck(browser, readFileSync(deck, 'utf8'), { read, look: { size } });
      const box = await page.locator('section').first().evaluate((one) => [one.clientWidth, one.clientHeight]);
      expect(box).toEqual([size === '4:3' ? 960 : 1280, 720]);
      expect(await page.locator('section').count()).toBe(10);
      expect(await overflowFaults(page), size).toEqual([]);
      await page.close();
    }
  });

  it('draws every letter with the fonts that it ships', async () => {
    const page = await openDeck(browser, readFileSync(deck, 'utf8'));
    const session = await page.context().newCDPSession(page);
    await session.send('DOM.enable');
    await session.send('CSS.enable');
    const { root } = await session.send('DOM.getDocument', { depth: -1 });
    const { nodeIds } = await session.send('DOM.querySelectorAll', { nodeId: root.nodeId, selector: 'section *' });
    const fonts = (await Promise.all(nodeIds.map((nodeId) => session.send('CSS.getPlatformFontsForNode', { nodeId }))))
      .flatMap((node) => node.fonts);
    expect(new Set(fonts.map((font) => font.familyName)).size).toBeGreaterThanOrEqual(2);
    expect(fonts.filter((font) => !font.isCustomFont)).toEqual([]);
    await page.close();
  });

  it('shows code sign by sign: no === drawn as ≡, nor ||= as what nobody types', async () => {
    const page = await openDeck(browser, '`a === b`\n\n```\na ||= b => c !== d\n```');
    const drawn = () => Promise.all(['p code', 'pre code'].map((code) => page.locator(code).screenshot()));
    const [inText, block] = await drawn();
    await page.addStyleTag({ content: 'code { font-variant-ligatures: none !important; }' });
    expect(await drawn()).toEqual([inText, block]);
    await page.addStyleTag({ content: 'code { font: 400 17px "Atkinson Hyperlegible" !important; }' });
    expect(await drawn()).not.toEqual([inText, block]); // the pictures tell one look from another
    await page.close();
  });

  it('keeps its drawings readable where the reader forces colours of their own', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const theme of themes) {
        const page = await openDeck(browser, '![W](diagrama:lora)', { look: { theme } });
        await page.emulateMedia({ forcedColors: 'active', colorScheme });
        const [ground, ink] = await page.evaluate(() => {
          const canvas = document.body.appendChild(document.createElement('p'));
          canvas.style.cssText = 'color-scheme: light dark; background: Canvas';
          return [getComputedStyle(canvas).backgroundColor, getComputedStyle(document.querySelector('svg svg text, figure text')!).fill];
        });
        const light = (color: string) => Number(/\d+/.exec(color)![0]) > 127;
        expect([colorScheme, theme, light(ground!), light(ink!)]).toEqual([colorScheme, theme, colorScheme === 'light', colorScheme !== 'light']);
        await page.close();
      }
    }
  });

  it('keeps the signs on the buttons of its player visible there, too', async () => {
    const [short, file] = [join(folder, 'signos.md'), join(folder, 'signos.html')];
    writeFileSync(short, '# Una\n\n---\n\n# Otra');
    writeFileSync(file, await deckHtml(short));
    const buttons = [['', '.bespoke-marp-osc button'], ['?view=presenter', '.bespoke-marp-presenter-info-container button']] as const;
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const [view, selector] of buttons) {
        const page = await browser.newPage();
        await page.emulateMedia({ forcedColors: 'active', colorScheme });
        await page.goto(pathToFileURL(file).href + view);
        await page.mouse.move(99, 99);
        await page.addStyleTag({ content: 'button { transition: none !important; opacity: 1 !important; }' });
        const drawn = () => page.locator(selector).first().screenshot();
        const sign = await drawn();
        await page.addStyleTag({ content: 'button { background-image: none !important; }' });
        expect((await drawn()).equals(sign), `${colorScheme} ${view} ${selector}`).toBe(false);
        await page.close();
      }
    }
    rmSync(short);
    rmSync(file);
  });

  it('is exported without a note, if asked, and those of an earlier export go', async () => {
    const [short, public_] = [join(folder, 'corta.md'), join(folder, 'public')];
    writeFileSync(short, '# Una\n\n<!-- experimento: quantization -->\n\nTexto.\n\n^ **Notas:** Un secreto.\n\n<!-- Otro secreto. -->');
    mkdirSync(public_);
    writeFileSync(join(public_, 'notas.txt'), 'Un secreto.');
    const args = ['--import', './src/start.js', 'src/cli/export.ts', '--deck', short, '--output', public_, '--sin-notas'];
    await promisify(execFile)(process.execPath, args);
    expect(readdirSync(public_).sort()).toEqual(['corta-apuntes.pdf', 'corta.html', 'corta.pdf', 'corta.pptx']);
    for (const name of ['corta.html', 'corta.pptx']) expect(readFileSync(join(public_, name), 'utf8'), name).not.toContain('secreto');
    expect(objectsOf(readFileSync(join(public_, 'corta.pdf')))).not.toMatch(/\/Subtype\s*\/Text\b/);
    if (poppler) expect(run('pdftotext', join(public_, 'corta-apuntes.pdf'), '-')).toMatch(/Texto\.(?!.*secreto)/s);
    rmSync(public_, { recursive: true });
    rmSync(short);
  }, 300_000);

  describe('exported', () => {
    let written: string;
    beforeAll(async () => {
      const args = ['--import', './src/start.js', 'src/cli/export.ts', '--output', folder];
      written = (await promisify(execFile)(process.execPath, args)).stdout;
    }, 300_000);

    it('leaves notes, HTML, PDF, handout and PPTX, and nothing beside', () => {
      const names = ['modulo-2-apuntes.pdf', 'modulo-2.html', 'modulo-2.pdf', 'modulo-2.pptx', 'notas.txt'];
      for (const name of names) expect(written).toContain(`${join(folder, name)}: `);
      expect(readdirSync(folder).sort()).toEqual(names);
      expect(statSync(join(folder, 'modulo-2.html')).size).toBeLessThan(8 * 2 ** 20);
    });

    it('plays a recorded run back, and asks for nothing but the page itself', async () => {
      const page = await browser.newPage();
      const asked: string[] = [];
      page.on('request', (request) => { if (!request.url().startsWith('data:')) asked.push(request.url()); });
      const file = pathToFileURL(join(folder, 'modulo-2.html')).href;
      await page.goto(file, { waitUntil: 'networkidle' });
      await expect.poll(async () => { // the player hears no key until it has started
        await page.keyboard.press('End');
        return page.url();
      }, { timeout: 60_000, interval: 500 }).toBe(`${file}#10`);
      // The recorded run plays back in the page.
      await page.keyboard.press('e');
      const panel = page.locator('.vivo[aria-label="QLoRA en Alpaca"]');
      await panel.getByText(/^grabado el .* · reproducción$/).waitFor();
      await panel.locator('svg').first().waitFor();
      expect(asked).toEqual([file]);
      await page.close();
    });

    it('has buttons that a finger finds on a telephone, 24 pixels high at least', async () => {
      const page = await browser.newPage({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
      await page.goto(`${pathToFileURL(join(folder, 'modulo-2.html')).href}#4`);
      const heard = (name: string) => page.getByRole('button', { name, exact: true }).evaluate((button) => {
        const { x, width, top, bottom } = button.getBoundingClientRect();
        const reaches = (y: number) => document.elementFromPoint(x + width / 2, y) === button;
        let [from, to] = [top + 1, bottom - 1];
        while (reaches(from - 1)) from--;
        while (reaches(to + 1)) to++;
        return to - from;
      });
      expect(await heard('▶ Reproducir')).toBeGreaterThanOrEqual(24);
      await page.getByRole('button', { name: '▶ Reproducir' }).tap();
      expect(await heard('Cierra el panel (c)')).toBeGreaterThanOrEqual(24);
      await page.getByRole('button', { name: 'Cierra el panel (c)' }).tap();
      await page.locator('.bespoke-marp-active .vivo-abrir').waitFor();
      await page.close();
    });

    it('shows ten notes to the presenter', async () => {
      const page = await browser.newPage();
      await page.goto(pathToFileURL(join(folder, 'modulo-2.html')).href);
      const notes = await page.locator('.bespoke-marp-note').allTextContents();
      expect(notes.map((note) => note.trim().length > 20)).toEqual(Array<boolean>(10).fill(true));
      await page.close();
    });

    it('tells audience and presenter in Spanish what its player shows', async () => {
      const page = await browser.newPage({ locale: 'en-US' });
      const file = pathToFileURL(join(folder, 'modulo-2.html')).href;
      await page.goto(`${file}#7`);
      await expect.poll(() => page.locator('.bespoke-marp-osc span').textContent()).toBe('Diapositiva 7 de 10');
      await page.locator('.bespoke-marp-inactive').waitFor(); // the bar is out of sight, and who hears it alone still turns by it
      await page.getByRole('button', { name: 'Diapositiva siguiente' }).dispatchEvent('click', {}, { timeout: 5000 });
      await expect.poll(() => page.getByRole('status').first().textContent()).toBe('Diapositiva 8 de 10');
      await page.goto(`${file}?view=presenter#7`);
      const own = page.locator(':is(.bespoke-marp-presenter-note-container, .bespoke-marp-presenter-info-container) [title]');
      await expect.poll(() => own.evaluateAll((all) => all.map((one) => one.getAttribute('title'))))
        .toEqual(['Letra más pequeña en las notas', 'Letra más grande en las notas', 'Anterior', 'Siguiente', 'Hora', 'Tiempo transcurrido']);
      expect(await page.title()).toMatch(/^\[Vista de presentador\] - Módulo 2/);
      expect(await page.locator('.bespoke-marp-presenter-info-time').textContent()).toMatch(/^\d{1,2}:\d{2}:\d{2}$/);
      await page.close();
    });

    const pdf = join(folder, 'modulo-2.pdf');

    it('prints ten pages, with a note on each and an outline', () => {
      const objects = objectsOf(readFileSync(pdf));
      expect(objects.match(/\/Type\s*\/Page\b/g)).toHaveLength(10);
      expect(objects.match(/\/Subtype\s*\/Text\b/g)).toHaveLength(10);
      const outline = outlineOf(objects);
      expect(outline).toContain('QLoRA — LoRA + modelo base 4-bit (NF4)');
      expect(outline.join()).not.toContain('Page');
    });

    it('prints words that can be searched, as other programs see it', ({ skip }) => {
      if (!poppler) skip(without);
      expect(run('pdfinfo', pdf)).toMatch(/^Pages:\s+10$/m);
      const pages = run('pdftotext', pdf, '-').split('\f');
      expect(pages[2]).toContain('LoRA inserta matrices de bajo rango');
      expect(pages[9]).toContain('Demo — QLoRA en Alpaca');
    });

    it('prints a handout on A4: each slide above its notes and what its experiment measured, numbered', ({ skip }) => {
      if (!poppler) skip(without);
      const handout = join(folder, 'modulo-2-apuntes.pdf');
      expect(run('pdfinfo', handout)).toMatch(/^Page size: .*\(A4\)$/m);
      expect(outlineOf(objectsOf(readFileSync(handout)))).toContain('Mixture of Adapters (MoA)');
      const sheets = run('pdftotext', '-layout', handout, '-').split('\f').slice(0, -1);
      expect(sheets.length).toBeGreaterThanOrEqual(10);
      const text = sheets.join(' ').replaceAll(/\s+/g, ' ');
      const inOrder = [
        'QLoRA — LoRA + modelo base 4-bit', 'Señalar que NF4 modela bien', 'Lo medido: Error y perplejidad de NF4', 'Menor error:',
        'AdaLoRA e IA3', 'Demo — QLoRA en Alpaca', 'Mostrar model.print_trainable_parameters()', 'Memoria del entrenamiento:', 'Medido aquí el',
      ];
      let from = -1;
      for (const words of inOrder) {
        const at = text.indexOf(words, from + 1);
        expect(at, words).toBeGreaterThan(from);
        from = at;
      }
      sheets.forEach((sheet, i) => expect(sheet).toMatch(new RegExp(`^\\s*${i + 1} / ${sheets.length}$`, 'm')));
    });

    it('leaves no sheet of the handout nearly empty', ({ skip }) => {
      if (!poppler) skip(without);
      const pages = run('pdftotext', '-bbox', join(folder, 'modulo-2-apuntes.pdf'), '-').split('<page ').slice(1);
      const ends = pages.map((page) => { // how far down its last word is, but for its number, in the margin
        const height = Number(/height="([\d.]+)"/.exec(page)![1]);
        return Math.max(...[...page.matchAll(/yMax="([\d.]+)"/g)].map(([, y]) => Number(y) / height).filter((y) => y < 0.96));
      });
      expect(Math.min(...ends)).toBeGreaterThan(0.35);
    });

    it('writes a PPTX of ten pictures with their notes', () => {
      const pptx = readFileSync(join(folder, 'modulo-2.pptx')).toString('utf8'); // its parts are stored as they are
      for (let i = 1; i <= 10; i++) expect(pptx).toContain(`ppt/slides/slide${i}.xml`);
      expect(pptx).toContain('Señalar que NF4 modela bien distribuciones de pesos');
    });
  });
});
