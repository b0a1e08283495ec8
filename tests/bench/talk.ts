import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { runCommand } from '../../src/cli/main.ts';
import { experimentCommand } from '../../src/cli/rehearsal.ts';
import { launch } from '../../src/deck/chromium.ts';
import { startTalk } from '../../src/live/start.ts';

/**
 * `npm run bench:talk`: how long a talk makes one wait, on this machine as it is now, with a presenter's window and the
 * audience's open: in milliseconds, against the bars that it should hold. Ends with 1 if one is passed.
 */
const bars = { first: 300, screen: 100, edit: 1000, kill: 2000 } as const;
/** How long after the key a run is killed: before its first event, as it loads, as it trains. */
const killedAfter = [0, 30, 300, 1500, 4000, 9000];
const repeats = 6;
/** A presenter who stops a run and begins it again does not do so sooner, in milliseconds: half of the runs, so. */
const breath = 2000;
/** Of the training whose events are timed: it is stopped before its end, on a fast machine too. */
const trainedFor = 12_000;

await runCommand({
  name: 'npm run bench:talk',
  about: `Mide en unos minutos, con Chromium, lo que una charla hace esperar en esta máquina tal como está ahora: de la tecla al
primer suceso, de cada suceso a la pantalla, de un cambio del texto a verlo, y de una ejecución que muere a la grabada.
Acaba con 1 si algo pasa de su límite.`,
  options: {},
}, bench);
process.exit(); // also where there is no browser, and the talk stands open

async function bench(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const deck = join(folder, 'modulo-2.md');
  const markdown = readFileSync('slides/modulo-2.md', 'utf8');
  writeFileSync(deck, markdown);

  const talk = await startTalk({
    deck, host: '127.0.0.1', port: 0, output: join(folder, 'out'), command: experimentCommand(undefined),
    limits: () => ({ budget: 300, silence: 60 }), failed: (error) => { throw error; },
  });
  const browser = await launch();
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    const page = await context.newPage();
    await page.goto(talk.url);
    await page.evaluate(() => { location.hash = '#10'; });
    // As a presenter does, in a window of its own: of a tab behind another one nothing is drawn but a frame a second.
    const [presenter] = await Promise.all([context.waitForEvent('page'), page.keyboard.press('p')]);
    await presenter.waitForLoadState();
    const panel = page.locator('.vivo[aria-label="QLoRA en Alpaca"]');
    const state = (name: string, value: string) => panel.and(page.locator(`[data-${name}="${value}"]`)).waitFor({ timeout: 120_000 });
    const press = () => page.keyboard.press('e');
    const bothReady = () => talk.talk.ready.then(() => talk.talk.ready); // the second loads when the first is there
    await bothReady();

    for (let i = 0; i < repeats; i++) {
      await press();
      await page.waitForFunction((count) => performance.getEntriesByName('primer suceso').length > count, i, { polling: 20 });
      await press();
      await state('estado', 'stopped');
      await (i % 2 === 0 ? page.waitForTimeout(breath) : bothReady());
    }
    tell('de la tecla al primer suceso', await measured(page, 'primer suceso'), bars.first);

    await forget(page);
    await forget(presenter);
    await press();
    await page.waitForTimeout(trainedFor);
    await press();
    await state('estado', 'stopped');
    tell('del suceso a la pantalla', await measured(page, 'suceso en pantalla'), bars.screen);
    tell('del suceso a la del presentador', await measured(presenter, 'suceso en pantalla'), bars.screen);

    const edits: number[] = [];
    for (let i = 0; i < repeats; i++) {
      const title = `PEFT, vez ${i}`;
      const began = Date.now();
      writeFileSync(deck, markdown.replace(/^## PEFT .*$/m, `## ${title}`));
      const seen = await page.waitForFunction((text) => [...document.querySelectorAll('h2')].some((h2) => h2.textContent === text) && Date.now(),
        title, { polling: 'raf' });
      edits.push(await seen.jsonValue() as number - began);
      await page.waitForTimeout(500);
    }
    tell('de guardar un cambio a verlo', edits, bars.edit);

    const kills: number[] = [];
    for (const wait of killedAfter) {
      await talk.talk.ready;
      await press();
      while (!talk.talk.busy) await page.waitForTimeout(1);
      await page.waitForTimeout(wait);
      const killed = Date.now();
      process.kill(talk.talk.pid!, 'SIGKILL');
      const seen = await page.waitForFunction(() =>
        document.querySelector('.vivo[data-fuente="recorded"]:not([hidden])')?.querySelector('svg') && Date.now(), undefined, { polling: 'raf' });
      kills.push(await seen.jsonValue() as number - killed);
    }
    tell(`de matarla (a los ${killedAfter.join(', ')} ms) a lo grabado`, kills, bars.kill);
  } finally {
    await browser.close();
    await talk.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(of: Page, name: string): Promise<number[]> {
  return of.evaluate((measure) => performance.getEntriesByName(measure).map(({ duration }) => duration), name);
}

async function forget(of: Page): Promise<void> {
  await of.evaluate(() => performance.clearMeasures());
}

function tell(what: string, given: readonly number[], bar: number): void {
  const values = [...given].sort((a, b) => a - b);
  const at = (share: number) => Math.round(values[Math.min(values.length - 1, Math.floor(share * values.length))]!);
  const passed = at(1) > bar;
  process.stdout.write(`${passed ? '✗' : '✓'} ${what}: mediana ${at(0.5)} ms, 95 % ${at(0.95)} ms, peor ${at(1)} ms de ${values.length}; `
    + `límite ${bar} ms\n`);
  if (passed) process.exitCode = 1;
}
