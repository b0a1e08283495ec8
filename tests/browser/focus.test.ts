import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { deckHtml } from '../../src/deck/marp-cli.ts';
import { withRecordings } from '../../src/live/recordings.ts';
import { filesId, orderId } from '../../src/live/training.ts';
import { record } from '../deck/record.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // a browser on a busy machine

const folder = mkdtempSync(join(tmpdir(), 'focus-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [experiment, planner] = ['QLoRA en Alpaca', 'Planificador de memoria'];

describe.skipIf(!executable)(`the focus around a panel, in Chromium${why}`, () => {
  let browser: Browser;
  let page: Page;
  const panel = (name: string) => page.locator(`aside[aria-label="${name}"]`);
  const button = (name: string) => page.locator('.vivo').getByRole('button', { name });
  const [play, train, plan] = ['.vivo-abrir:not(.vivo-entrenar, .vivo-planificar)', '.vivo-entrenar', '.vivo-planificar'];
  const focused = (selector: string) => expect.poll(() => page.evaluate((one) => {
    const { activeElement } = document;
    return activeElement!.matches(one) ? one : activeElement!.outerHTML.slice(0, 200);
  }, selector)).toBe(selector);
  /** Opens its panel without a mouse. */
  const press = async (opener: string) => {
    await page.locator(opener).focus();
    await page.keyboard.press('Enter');
  };

  beforeAll(async () => {
    const deck = join(folder, 'charla.md');
    const file = join(folder, 'charla.html');
    writeFileSync(deck, '# Demo\n\n<!-- experimento: qlora -->\n\n![Un plan](plan:meta-llama/Llama-2-7b-hf)\n\n---\n\n# Otra\n');
    // What it would train with is damaged, which its panel says.
    const training = `<script type="application/json" id="${filesId}">x</script><script type="application/json" id="${orderId}">{}</script>`;
    writeFileSync(file, (await withRecordings(await deckHtml(deck), (id) => record({ id }))).replace('<script', () => `${training}<script`));
    browser = await launch();
    page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    await page.goto(pathToFileURL(file).href);
    await page.locator('.bespoke-marp-active').first().waitFor();
    await page.locator(plan).waitFor();
  });
  afterAll(() => browser.close());

  it.each([
    [play, experiment, `[aria-label="${experiment}"]`],
    [train, experiment, `[aria-label="${experiment}"]`],
    [plan, planner, '#planificador-modelo'],
  ])('goes from %s into the panel that it opens, and back to it when that is closed', async (opener, title, first) => {
    for (const close of [() => page.keyboard.press('Escape'), () => panel(title).getByRole('button', { name: /^Cierra/ }).press('Enter')]) {
      await press(opener);
      await focused(first);
      await close();
      await panel(title).waitFor({ state: 'hidden' });
      await focused(opener);
    }
  });

  it('stays on a button of the panel that is pressed without a mouse, or in the panel when that button goes', async () => {
    await press(play);
    await button('■ Detener').press('Enter');
    await button('▶ Reproducir').waitFor();
    await focused('.vivo-ejecutar');
    await button('Entrenar aquí').press('Enter');
    await panel(experiment).getByRole('alert').waitFor();
    await focused(`[aria-label="${experiment}"]`);
    await page.keyboard.press('Escape');
    await press(plan);
    await page.getByLabel('Método').selectOption('full');
    await panel(planner).locator('.vivo-consejos button').last().press('Enter');
    await focused(`[aria-label="${planner}"]`);
    await page.keyboard.press('Escape');
  });

  it('is left to the slides where a panel is opened by its key, or with the mouse', async () => {
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    for (const [key, title] of [['c', experiment], ['m', planner]] as const) {
      await page.keyboard.press(key);
      await panel(title).waitFor();
      await page.keyboard.press(key);
      await panel(title).waitFor({ state: 'hidden' });
      await focused('body');
    }
    for (const [opener, title] of [[play, experiment], [plan, planner]] as const) {
      await page.locator(opener).click();
      await panel(title).getByRole('button', { name: /^Cierra/ }).click();
      await panel(title).waitFor({ state: 'hidden' });
      await focused('body');
    }
  });

  it('on a button keeps no key from the slides but those that press it', async () => {
    await page.locator(play).focus();
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => page.url()).toMatch(/#2$/);
    await page.keyboard.press('ArrowLeft');
    await page.locator(play).focus();
    await page.keyboard.press('c');
    await panel(experiment).waitFor();
    await page.keyboard.press('c');
    await panel(experiment).waitFor({ state: 'hidden' });
  });
});
