import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { axeFaults, contrastFaults } from '../../src/check/browser.ts';
import { sizes, themes } from '../../src/deck/look.ts';
import type { Look } from '../../src/deck/look.ts';
import { startTalk } from '../../src/live/start.ts';
import { experiments } from '../../src/runs/experiments.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 }); // a browser on a busy machine

const folder = mkdtempSync(join(tmpdir(), 'panels-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const viewports = { '16:9': { width: 1280, height: 720 }, '4:3': { width: 960, height: 720 } };

describe.skipIf(!executable)(`the panel of each experiment, with its recorded run, in Chromium${why}`, () => {
  let browser: Browser;
  beforeAll(async () => { browser = await launch(); });
  afterAll(() => browser.close());

  /** What in the open panel leaves it, or its box, apart from what scrolls. */
  const faults = (page: Page) => page.locator('.bespoke-marp-active .vivo:not([hidden])').evaluate((panel) => {
    const outer = panel.getBoundingClientRect();
    const said = (element: Element) => `${element.tagName}.${element.getAttribute('class') ?? ''} «${element.textContent?.slice(0, 40)}»`;
    const shown = [...panel.querySelectorAll('*')].filter((element) =>
      element.checkVisibility() && element.closest('.vivo-editor, .vivo-texto, .vivo-problemas') === null);
    const outside = shown.filter((element) => {
      const { left, top, right, bottom } = element.getBoundingClientRect();
      return left < outer.left - 1 || top < outer.top - 1 || right > outer.right + 1 || bottom > outer.bottom + 1;
    });
    const over = shown.filter((element) => element.matches('div, figure, header') &&
      (element.scrollHeight > element.clientHeight + 1 || element.scrollWidth > element.clientWidth + 1));
    // A drawing is smaller than it can be read only where its column is too narrow.
    const small = [...panel.querySelectorAll<SVGSVGElement>('.vivo-figuras figure > svg')].filter((drawing) => {
      const { width, height } = drawing.viewBox.baseVal;
      const [wide, high] = [drawing.clientWidth / width, drawing.clientHeight / height];
      return drawing.checkVisibility() && Math.min(wide, high) < Math.min(0.7, wide) - 0.01;
    });
    // Where the result comes from is one line, which the title does not crowd.
    const [origin] = panel.querySelectorAll<HTMLElement>('.vivo-procedencia');
    const torn = origin!.offsetHeight > 30 ? [origin!] : [];
    // A line of what scrolls is shown whole or not at all, but where someone scrolls.
    const cut = [...panel.querySelectorAll('.vivo-texto, .vivo-editor, .vivo-problemas')].filter((box) => {
      const { top, bottom } = box.getBoundingClientRect();
      const range = document.createRange();
      range.selectNodeContents(box);
      const cuts = (edge: number) => [...range.getClientRects()].some((line) =>
        line.height < 30 && line.top < edge - 3 && line.bottom > edge + 3); // a line, no box; letters stand within it
      return cuts(top) || cuts(bottom);
    });
    return [
      ...outside.map((one) => `fuera: ${said(one)}`), ...over.map((one) => `no cabe: ${said(one)}`),
      ...cut.map((one) => `línea cortada: ${said(one)}`),
      ...small.map((one) => `pequeña: ${said(one)}`), ...torn.map((one) => `partida: ${said(one)}`),
    ];
  });

  const start = (look: Look) => startTalk({
    deck: 'slides/modulo-2.md', look, host: '127.0.0.1', port: 0, output: folder, command: [],
    replaySpeed: 1e6, limits: () => ({ budget: 60, silence: 60 }), failed: (error) => { throw error; },
  });

  it('shows the last lines of its text, also in a window that is loaded again', async () => {
    const talk = await start({});
    const page = await browser.newPage({ viewport: viewports['16:9'] });
    await page.goto(`${talk.url}#10`);
    const panel = page.locator('.bespoke-marp-active .vivo:not(.vivo-plan)');
    await expect.poll(async () => {
      if (await panel.getAttribute('data-estado') === '') await page.keyboard.press('e');
      return panel.getAttribute('data-estado');
    }).toBe('finished');
    const below = () => panel.locator('.vivo-texto').evaluate((box) =>
      [...box.querySelectorAll('p')].at(-1)!.getBoundingClientRect().bottom - box.getBoundingClientRect().bottom);
    expect(await below()).toBeLessThan(1);
    await page.reload();
    await panel.locator('.vivo-texto p').first().waitFor();
    await page.evaluate(() => document.fonts.ready);
    expect(await below()).toBeLessThan(1);
    await page.close();
    await talk.close();
  });

  it.each(sizes)('finds room for many errors of the code: %s', async (size) => {
    const talk = await start({ size });
    const page = await browser.newPage({ viewport: viewports[size] });
    await page.addInitScript('globalThis.__name = (of) => of');
    await page.goto(`${talk.url}#10`);
    const problems = page.locator('.bespoke-marp-active .vivo-problemas');
    await expect.poll(async () => {
      if (!await problems.locator('..').isVisible()) await page.keyboard.press('c');
      return page.locator('.bespoke-marp-active .cm-line').count();
    }).toBeGreaterThan(5);
    await problems.evaluate((list) => {
      for (let line = 1; line < 9; line++) list.append(Object.assign(document.createElement('li'), { textContent: `línea ${line}: un error` }));
    });
    expect(await faults(page)).toEqual([]);
    await page.close();
    await talk.close();
  });

  it.each(themes.flatMap((theme) => sizes.map((size) => [theme, size] as const)))(
    'holds all its charts, page by page, and they can be read: %s %s', async (theme, size) => {
      const talk = await start({ theme, size });
      const page = await browser.newPage({ viewport: viewports[size] });
      await page.addInitScript('globalThis.__name = (of) => of');
      await page.goto(talk.url);
      const slides = await page.locator('section').evaluateAll((all) =>
        all.flatMap((section, i) => (section.dataset.experimento === undefined ? [] : [i + 1])));
      expect(slides).toHaveLength(Object.keys(experiments).length);
      for (const slide of slides) {
        await page.evaluate((hash) => { location.hash = hash; }, `#${slide}`);
        const panel = page.locator('.bespoke-marp-active .vivo:not(.vivo-plan)');
        await expect.poll(async () => {
          if (await panel.getAttribute('data-estado') === '') await page.keyboard.press('e');
          return panel.getAttribute('data-estado');
        }).toBe('finished');
        const title = await panel.getAttribute('aria-label');
        const more = panel.locator('.vivo-mas');
        const pages = await more.isVisible() ? Number(/de (\d+)/.exec((await more.textContent())!)![1]) : 1;
        const drawn = new Set<string>();
        for (let shown = 1; shown <= pages; shown++) {
          if (pages > 1) await expect.poll(() => more.textContent()).toContain(`${shown} de ${pages}`);
          const names = await panel.locator('figure:visible').evaluateAll((figures) => figures.map((figure) => figure.dataset.grafico!));
          for (const name of names) drawn.add(name);
          if (process.env.PICTURES) {
            await page.screenshot({ path: join(process.env.PICTURES, `panel-${theme}-${size.replace(':', 'x')}-${slide}-${shown}.png`) });
          }
          expect(await faults(page), `${title}, ${shown}`).toEqual([]);
          const contrast = (await contrastFaults(page)).filter((fault) => fault.startsWith(`diapositiva ${slide}:`));
          expect(contrast, `${title}, ${shown}`).toEqual([]);
          await page.keyboard.press('g');
        }
        expect(await axeFaults(page, '.bespoke-marp-active .vivo:not([hidden])'), title!).toEqual([]);
        const charts = Object.values(experiments).find((one) => one.title === title)!.charts;
        expect([...drawn].sort()).toEqual(Object.keys(charts).sort());
        await page.keyboard.press('c');
      }
      await page.close();
      await talk.close();
    });
});
