import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { handoutHtml } from '../../src/deck/handout.ts';
import { sizes } from '../../src/deck/look.ts';
import { readRun } from '../../src/runs/store.ts';
import { fromElsewhere } from '../deck/record.ts';
import { executable, launch, why } from './chromium.ts';

/** What a reader of paper can read without a glass, in points. */
const least = 7.5;

describe.skipIf(!executable)(`the handout in Chromium${why}`, () => {
  let browser: Browser;
  beforeAll(async () => { browser = await launch(); }, 60_000);
  afterAll(() => browser.close());

  it.each(sizes)('prints nothing too small to be read, slides and charts included: %s', async (size) => {
    const margin = Number(/@page \{[^@]*margin: \w+ (\d+)mm/.exec(readFileSync('assets/theme/apuntes.css', 'utf8'))![1]);
    const width = Math.floor((210 - 2 * margin) / 25.4 * 96); // of A4
    const page = await browser.newPage({ viewport: { width, height: 1000 } });
    await page.emulateMedia({ media: 'print' });
    await page.setContent(handoutHtml('slides/modulo-2.md', { size }));
    await page.evaluate(() => document.fonts.ready);
    const small = await page.evaluate((least) => [...document.querySelectorAll('article')].flatMap((sheet, i) => {
      const found = new Set<string>();
      const texts = document.createTreeWalker(sheet, NodeFilter.SHOW_TEXT);
      for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        const element = node.parentElement!;
        if (node.textContent!.trim() === '' || !element.checkVisibility() || element.closest('style, script, sub, sup')) continue;
        // A drawing, and a slide, which lies in one, are scaled.
        const drawing = element.closest<SVGGraphicsElement>('text, foreignObject')?.getScreenCTM()?.a ?? 1;
        const points = parseFloat(getComputedStyle(element).fontSize) * drawing * 72 / 96;
        if (points < least) found.add(`${i + 1}: ${points.toFixed(2)} pt «${node.textContent!.trim().slice(0, 40)}»`);
      }
      return [...found];
    }), least);
    expect(small).toEqual([]);
    await page.close();
  }, 120_000);

  it.each([
    ['with the committed runs', undefined],
    ['with stale runs from machines with long names', fromElsewhere(readRun)],
  ])('has a sheet a slide, and four millimetres to spare on each: %s', async (_when, read) => {
    const page = await browser.newPage();
    await page.setContent(handoutHtml('slides/modulo-2.md', { read }));
    await page.addStyleTag({ content: '@page { margin-bottom: 15mm }' });
    await page.evaluate(() => document.fonts.ready);
    const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
    expect(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)).toHaveLength(10);
    await page.close();
  }, 120_000);
});
