import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { axeFaults, contrastFaults, overflowFaults } from '../../src/check/browser.ts';
import { sizes, themes } from '../../src/deck/look.ts';
import { deckHtml } from '../../src/deck/marp-cli.ts';
import { advise } from '../../src/distributed/advice.ts';
import { knownConfig } from '../../src/distributed/known.ts';
import { plan, planDefaults } from '../../src/distributed/planner.ts';
import { modelSize } from '../../src/distributed/size.ts';
import { outcomeOf, verdictOf } from '../../src/distributed/words.ts';
import { withRecordings } from '../../src/live/recordings.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }); // a browser on a busy machine

const folder = mkdtempSync(join(tmpdir(), 'planner-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [model, GiB] = ['meta-llama/Llama-2-7b-hf', 2 ** 30];
const size = modelSize(knownConfig(model)!);

describe.skipIf(!executable)(`the planner on its slide, in a file, in Chromium${why}`, () => {
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const file = join(folder, 'charla.html');
  const panel = () => page.locator('aside[aria-label="Planificador de memoria"]');
  const verdict = () => panel().getByRole('status').textContent();

  const open = async (path: string): Promise<Page> => {
    const opened = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    await opened.addInitScript('globalThis.__name = (of) => of');
    opened.on('request', (request) => { if (!request.url().startsWith('data:')) asked.push(request.url()); });
    await opened.goto(pathToFileURL(path).href);
    await opened.locator('.bespoke-marp-active').first().waitFor();
    return opened;
  };

  beforeAll(async () => {
    const deck = join(folder, 'charla.md');
    writeFileSync(deck, `---\ntheme: modulo\n---\n\n# Plan\n\n![Un plan](plan:${model})\n\n---\n\n# Otra\n\n^ **Notas:** Fin.\n`);
    writeFileSync(file, await withRecordings(await deckHtml(deck), () => undefined));
    browser = await launch();
    page = await open(file);
  });
  afterAll(() => browser.close());

  it('opens at a key, with the plan of the picture', async () => {
    expect(await panel().isVisible()).toBe(false);
    await expect.poll(async () => {
      if (!await panel().isVisible()) await page.keyboard.press('m');
      return panel().isVisible();
    }).toBe(true);
    expect(await verdict()).toBe(verdictOf(plan(size, { ...planDefaults, gpus: 2 }), 24 * GiB));
    expect(await panel().locator('.vivo-consejos li').count()).toBe(0);
  });

  it('plans again at each control, with no mouse: the figures are the formulas’, and it says what to change', async () => {
    await page.getByLabel('Método').selectOption('full');
    const memory = page.getByLabel('Memoria de cada una');
    await memory.focus();
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press('ArrowRight'); // 24, 32, 40, 48 GiB
    expect(await memory.getAttribute('aria-valuetext')).toBe('48 GiB');
    expect(page.url()).not.toContain('#2'); // the slide did not turn
    const options = { ...planDefaults, method: 'full', gpus: 2 } as const;
    const advice = advise(size, options, 48 * GiB);
    expect(await verdict()).toBe(`${verdictOf(plan(size, options), 48 * GiB)} Qué cambiar, por orden:`);
    expect(await verdict()).toContain('No cabe');
    expect(await panel().locator('.vivo-consejos li').count()).toBe(advice.length);
    expect(await panel().textContent()).toContain(outcomeOf(advice.at(-1)!.plan, 48 * GiB));
    expect(await panel().locator('figure svg').getAttribute('aria-label')).toContain('todos los pesos; 2 GPU de 48 GiB');
  });

  it('makes the advised changes at a press, and then it fits', async () => {
    await panel().locator('.vivo-consejos button').last().press('Enter');
    expect(await verdict()).toMatch(/^Cabe: /);
  });

  it('gives the command that asks the same', async () => {
    expect(await panel().locator('code').textContent())
      .toMatch(/^npm run plan -- --model meta-llama\/Llama-2-7b-hf --gpu-memory 48 .*--gpus 2/);
  });

  it('says in one sentence what cannot be', async () => {
    await page.getByLabel('Reparto').selectOption('ddp');
    await page.getByLabel('Offload').selectOption('cpu');
    expect(await verdict()).toBe('--offload necesita estados repartidos: elige --scheme zero1, zero2, zero3 o fsdp.');
    expect(await panel().locator('figure svg').count()).toBe(0);
    await page.getByLabel('Offload').selectOption('none');
  });

  it('closes at its key too, where a list has the focus, which takes it for no name of a model', async () => {
    const chosen = page.getByLabel('Modelo');
    await chosen.focus();
    await page.keyboard.press('m');
    expect(await panel().isVisible()).toBe(false);
    await page.keyboard.press('m');
    expect(await panel().isVisible()).toBe(true);
    expect(await chosen.inputValue()).toBe(model);
  });

  it('gives the keys back as it closes, not a frame later: on a busy machine the next key comes before', async () => {
    const focused = await page.getByLabel('Modelo').evaluate((list) => {
      const press = (key: string) => list.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
      list.focus();
      press('Escape');
      return document.activeElement === list;
    });
    expect(await panel().isVisible()).toBe(false);
    expect(focused).toBe(false);
    await page.keyboard.press('m');
    expect(await panel().isVisible()).toBe(true);
  });

  it('closes at Escape, and keys turn the slides again', async () => {
    await page.keyboard.press('Escape');
    expect(await panel().isVisible()).toBe(false);
    expect(await page.locator('.bespoke-marp-overview[data-open="1"]').count()).toBe(0); // Marp's, at the same key
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => page.url(), { timeout: 20_000 }).toContain('#2');
    await page.keyboard.press('m'); // there is no plan on this slide
    expect(await panel().isVisible()).toBe(false);
  });

  it('asks nothing of the network', () => {
    expect(new Set(asked.map((url) => url.replace(/\?.*/, '')))).toEqual(new Set([pathToFileURL(file).href])); // and Marp's frames of it
  });

  it.each(themes.flatMap((theme) => sizes.map((size) => [theme, size] as const)))(
    'fits and can be read and named, when it has most to say: %s %s', async (theme, size) => {
      const path = join(folder, `${theme}-${size.replace(':', 'x')}.html`);
      writeFileSync(path, await withRecordings(await deckHtml('slides/modulo-2.md', { look: { theme, size } }), () => undefined));
      const opened = await open(path);
      await opened.goto(`${pathToFileURL(path).href}#7`);
      const button = opened.getByRole('button', { name: 'Planificar' });
      await button.click();
      await opened.getByLabel('Método', { exact: true }).selectOption('full');
      await opened.getByLabel('Modelo', { exact: true }).selectOption('meta-llama/Llama-2-70b-hf');
      await opened.getByLabel('Recomputar', { exact: true }).selectOption('none');
      const shown = opened.locator('aside[aria-label="Planificador de memoria"]');
      expect(await shown.locator('.vivo-consejos li').count()).toBeGreaterThan(2);
      if (process.env.PICTURES) await opened.screenshot({ path: join(process.env.PICTURES, `planner-${theme}-${size.replace(':', 'x')}.png`) });
      const over = () => shown.evaluate((panel) => [panel.closest('section')!, panel, ...panel.querySelectorAll('div, form, figure, ol')]
        .filter((box) => box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)
        .map((box) => `${box.tagName}.${box.className}: ${box.scrollHeight} > ${box.clientHeight}, ${box.scrollWidth} > ${box.clientWidth}`));
      expect(await over()).toEqual([]);
      const seventh = (faults: string[]) => faults.filter((fault) => fault.startsWith('diapositiva 7:'));
      expect(seventh(await overflowFaults(opened))).toEqual([]);
      expect(seventh(await contrastFaults(opened))).toEqual([]);
      expect(await axeFaults(opened, 'aside[aria-label="Planificador de memoria"]')).toEqual([]);
      // Of more advice than there is room for, it is the list that scrolls: what comes of it stays in sight.
      for (const [label, step] of [['GPU', 0], ['Memoria de cada una', 0], ['Secuencia', 7], ['Lote por GPU', 6]] as const) {
        await opened.getByLabel(label, { exact: true }).fill(String(step));
      }
      if (process.env.PICTURES) await opened.screenshot({ path: join(process.env.PICTURES, `planner-${theme}-${size.replace(':', 'x')}-most.png`) });
      expect(await shown.locator('.vivo-consejos li').count()).toBeGreaterThan(4);
      expect((await over()).filter((box) => !box.startsWith('OL.'))).toEqual([]);
      await opened.close();
    });
});
