import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { experimentCommand } from '../../src/cli/rehearsal.ts';
import type { TalkTimes } from '../../src/live/clock.ts';
import { PageMaker } from '../../src/live/page.ts';
import { withRecordings } from '../../src/live/recordings.ts';
import { startTalk } from '../../src/live/start.ts';
import type { Session, StartedTalk, StartOptions } from '../../src/live/start.ts';
import { saveRun } from '../../src/runs/store.ts';
import { record } from '../deck/record.ts';
import { writeSmallModel } from '../small-model.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }); // a browser and the compiler on a busy machine

const folder = mkdtempSync(join(tmpdir(), 'talk-'));
const deck = join(folder, 'deck', 'charla.md');
const output = join(folder, 'out');

// Two slides, the first with a plan, and a training of 120 steps on a very small model, over in a second.
const markdown = (title: string, demo = 'Demo', note = 'Ejecutar.') => `---
theme: modulo
---

# ${title}

<!-- tiempo: 60s -->

Una nota al margen: {{qlora.training.steps | entero}} pasos.

![Un plan](plan:meta-llama/Llama-2-7b-hf)

---

# ${demo}

<!-- tiempo: 10min -->
<!-- experimento: qlora -->

^ **Notas:** ${note}
`;

describe.skipIf(!executable)(`npm run talk in Chromium${why}`, () => {
  let browser: Browser;
  let context: BrowserContext;
  let talk: StartedTalk;
  let page: Page;
  const timed: TalkTimes[] = [];

  const start = (options: Partial<StartOptions> = {}) => startTalk({
    deck, output, host: '127.0.0.1', port: 0,
    command: [...experimentCommand('wasm'), '--model', join(folder, 'model'), '--data', join(folder, 'data.json'),
      '--examples', '8', '--eval', '4', '--batch-size', '2', '--epochs', '30', '--r', '4', '--output', join(output, 'qlora')],
    limits: () => ({ budget: 100, silence: 60 }),
    timed: (times) => void timed.push(times),
    failed: (error) => { throw error; },
    ...options,
  });

  const open = async (url: string): Promise<Page> => {
    const opened = await context.newPage();
    await opened.goto(url);
    return opened;
  };
  const origin = () => new URL(talk.url).origin;
  const panel = (on: Page) => on.locator('.vivo[aria-label="QLoRA en Alpaca"]');
  const label = (on: Page) => panel(on).locator('.vivo-procedencia').textContent();
  const lines = (on: Page) => panel(on).locator('.vivo-texto').innerText();
  const curve = (on: Page) => panel(on).locator('[data-grafico="loss"] path').evaluateAll((paths) =>
    paths.map((path) => path.getAttribute('d')).join());
  const finished = (on: Page) => panel(on).and(on.locator('[data-estado="finished"]')).waitFor({ timeout: 100_000 });
  const durations = (on: Page, name: string) => on.evaluate((measure) =>
    performance.getEntriesByName(measure).map(({ duration }) => Math.round(duration)), name);
  const report = (what: string) => process.stdout.write(`  [talk] ${what}\n`);

  beforeAll(async () => {
    mkdirSync(join(folder, 'deck'));
    writeFileSync(deck, markdown('Charla'));
    writeSmallModel(join(folder, 'model'));
    const words = 'alto bajo gordo flaco largo corto ancho fino viejo nuevo limpio sucio'.split(' ');
    writeFileSync(join(folder, 'data.json'), JSON.stringify(words.map((word) =>
      ({ instruction: `Repite la palabra ${word}.`, output: `La palabra es ${word}.` }))));
    browser = await launch();
    context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    talk = await start();
    page = await open(talk.url);
    await page.keyboard.press('ArrowRight');
  });

  afterAll(async () => {
    await browser.close();
    await talk.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('keeps the token out of the address', () => {
    expect(page.url()).not.toContain('clave');
  });

  it("runs the experiment at a key: the curve moves and the table arrives, in the presenter's window and another in step", async () => {
    await talk.talk.ready;
    const other = await open(`${origin()}/?view=presenter#2`);
    await page.evaluate(() => { // every shape that the curve takes: the training may be over before it is asked for
      const curves = new Set<string>();
      new MutationObserver(() => {
        const paths = document.querySelectorAll('[data-grafico="loss"] path');
        if (paths.length > 0) curves.add([...paths].map((path) => path.getAttribute('d')).join());
      }).observe(document.body, { childList: true, subtree: true });
      Object.assign(globalThis, { curves });
    });
    await page.keyboard.press('e');
    await panel(page).locator('.vivo-texto p').first().waitFor();
    expect(await label(page)).toMatch(/^en vivo · \d/);
    await finished(page);
    const curves = await page.evaluate(() => (globalThis as unknown as { curves: Set<string> }).curves.size);
    expect(curves).toBeGreaterThan(1); // few on a busy machine, which draws seldom
    await finished(other);
    expect(await label(page)).toMatch(/^en vivo · terminada en \d/);
    for (const window of [page, other]) {
      expect(await panel(window).locator('[data-grafico="evaluation"] td').count()).toBeGreaterThan(3);
      expect(await panel(window).locator('[data-grafico="memory"] rect').count()).toBeGreaterThan(4);
      expect(await lines(window)).toContain('4/4 · Evalúa y guarda el adaptador');
    }
    expect(await lines(other)).toBe(await lines(page));
    expect(await curve(other)).toBe(await curve(page));

    const [first] = await durations(page, 'primer suceso');
    const each = (await durations(page, 'suceso en pantalla')).sort((a, b) => a - b);
    report(`from the key to the first event ${first} ms; event to screen, median ${each[each.length >> 1]} ms, `
      + `worst ${each.at(-1)} ms of ${each.length}`);
    expect(first).toBeLessThan(3000); // 300 on a machine at rest
    expect(each[each.length >> 1]).toBeLessThan(1000); // 100
    await other.close();
  });

  it('loses nothing when the page is loaded again', async () => {
    const [text, drawn] = [await lines(page), await curve(page)];
    await page.reload();
    await expect.poll(() => lines(page)).toBe(text);
    expect(await curve(page)).toBe(drawn);
  });

  it('shows the recorded run, and says so, when the program is killed', async () => {
    await page.keyboard.press('e');
    await expect.poll(() => panel(page).locator('.vivo-progreso').textContent(), { timeout: 60_000 }).toMatch(/^paso \d/);
    const killed = Date.now();
    process.kill(talk.talk.pid!, 'SIGKILL');
    await panel(page).and(page.locator('[data-fuente="recorded"]')).waitFor();
    const took = Date.now() - killed;
    report(`from the kill to the recorded run ${took} ms`);
    expect(took).toBeLessThan(2000);
    expect(await label(page)).toMatch(/^grabado el \d+ \S+ \d{4}, en .+ \(\d+ núcleos\)$/);
    expect(await panel(page).getByRole('alert').textContent()).toBe('La ejecución en vivo ha muerto.'); // heard, too
    expect(await panel(page).locator('[data-grafico="evaluation"] td').count()).toBeGreaterThan(3);
  });

  it('is stopped by the same key, and keeps what it has', async () => {
    await page.keyboard.press('e');
    await panel(page).and(page.locator('[data-estado="running"]')).waitFor();
    await expect.poll(() => lines(page), { timeout: 60_000, interval: 20 }).toContain('1/4 · '); // its steps are soon over
    await page.keyboard.press('e');
    await panel(page).and(page.locator('[data-estado="stopped"]')).waitFor();
    expect(await label(page)).toMatch(/^en vivo · detenida a los \d/);
    expect(await lines(page)).toContain('1/4 · ');
  });

  const overviews = (on: Page) => on.locator('.bespoke-marp-overview[data-open="1"]').count(); // Marp's, at Escape too

  it('closes its panel at Escape, which opens nothing else, and opens it at its key', async () => {
    await page.keyboard.press('Escape');
    await panel(page).waitFor({ state: 'hidden' });
    expect(await overviews(page)).toBe(0);
    await page.keyboard.press('c');
    await panel(page).waitFor();
  });

  it('edits the code on the slide: type errors in place, run as edited, and back', async () => {
    const editor = panel(page).locator('.cm-content');
    const original = await editor.innerText();
    await editor.click();
    await page.keyboard.press('Control+Home');
    await page.keyboard.type("const saludo: number = 'hola';\nfor (let i = 0; i < 1000; i++) console.log(`dice ${saludo} ${i}`);\n");
    await page.keyboard.press('ArrowRight');
    expect(page.url()).toMatch(/#2$/); // what is typed moves no slide
    await expect.poll(() => panel(page).locator('.vivo-problemas').innerText(), { timeout: 100_000 }).toMatch(
      /^línea 1: .*«?'?string'?»?.*number.*\(TS2322\)$/);
    expect(await panel(page).locator('.cm-lintRange-error').innerText()).toBe('saludo');
    await talk.talk.ready;
    await page.keyboard.press('Control+Enter');
    await expect.poll(() => lines(page), { timeout: 60_000 }).toContain('dice hola');
    expect(await label(page)).toContain('código editado');
    await finished(page);
    await expect.poll(() => lines(page)).toContain('dice hola 999'); // all that it prints comes
    await expect.poll(() => readdirSync('demo').filter((name) => name.startsWith('.'))).toEqual([]);
    await panel(page).getByText('Restaurar').click();
    await expect.poll(() => editor.innerText()).toBe(original);
    await expect.poll(() => panel(page).locator('.vivo-problemas li').count()).toBe(0);
  });

  it('draws an edit of the deck, and the results of other terminals, without loading the page again', async () => {
    await page.evaluate(() => { document.body.dataset.same = 'yes'; });
    const began = Date.now();
    writeFileSync(deck, markdown('Otra charla'));
    await expect.poll(() => page.locator('h1').first().textContent(), { interval: 10, timeout: 20_000 }).toBe('Otra charla');
    report(`from an edit of the deck to the browser ${Date.now() - began} ms`);
    const run = record({ startedAt: new Date(Date.now() + 1000).toISOString() });
    const [results, slide] = [{ ...run.results, training: { steps: 98_765 } }, page.locator('section').first()];
    saveRun(join(output, 'elsewhere', 'run.json'), { ...run, results });
    await expect.poll(() => slide.textContent(), { timeout: 20_000 }).toContain('98\u202f765 pasos');
    expect(await slide.textContent()).not.toContain('OBSOLETO');
    const provenance = { ...run.provenance, inputs: [{ path: 'data.json', sha256: '' }] };
    saveRun(join(output, 'elsewhere', 'run.json'), { ...run, results, provenance });
    await expect.poll(() => slide.textContent(), { timeout: 20_000 }).toContain('OBSOLETO');
    expect(await page.evaluate(() => document.body.dataset.same)).toBe('yes');
    expect(await panel(page).isVisible()).toBe(true); // and the panel is still there
  });

  it("draws an edit in the presenter's window too: slide, next slide and notes, none of them loaded again", async () => {
    // As a presenter does, who opens it beside the audience's.
    await page.keyboard.press('ArrowLeft');
    const [presenter] = await Promise.all([context.waitForEvent('page'), page.keyboard.press('p')]);
    const next = presenter.frameLocator('iframe').last().locator('section:visible h1');
    await expect.poll(() => next.textContent(), { timeout: 20_000 }).toBe('Demo');
    for (const frame of presenter.frames()) await frame.evaluate(() => { document.body.dataset.same = 'yes'; });
    writeFileSync(deck, markdown('Tercera charla', 'La demo', 'Respirar.'));
    await expect.poll(() => presenter.locator('section h1').first().textContent(), { timeout: 20_000 }).toBe('Tercera charla');
    await expect.poll(() => next.textContent()).toBe('La demo');
    expect(await presenter.locator('.bespoke-marp-note').last().textContent()).toContain('Respirar.');
    for (const frame of presenter.frames()) expect(await frame.evaluate(() => document.body.dataset.same)).toBe('yes');
    await presenter.close();
  });

  describe('the planner', () => {
    const planner = (on: Page) => on.locator('aside[aria-label="Planificador de memoria"]');
    const verdict = (on: Page) => planner(on).getByRole('status').textContent();

    it('opens at its key, in all windows, those that come later too, and is chosen in any of them', async () => {
      const audience = await open(`${origin()}/#1`);
      await page.keyboard.press('m');
      for (const window of [page, audience]) await planner(window).waitFor();
      const fits = await verdict(page);
      expect(fits).toMatch(/^Cabe: /);
      await audience.getByLabel('Método').selectOption('full');
      await expect.poll(() => verdict(page)).toMatch(/^No cabe: /);
      const late = await open(`${origin()}/#1`);
      await expect.poll(() => verdict(late)).toBe(await verdict(page));
      await audience.getByLabel('Método').selectOption('qlora');
      await expect.poll(() => verdict(page)).toBe(fits);
      await late.close();
      await audience.close();
    });

    it('stays as it is when the deck is drawn again', async () => {
      await page.getByLabel('Método').selectOption('lora');
      const said = await verdict(page);
      writeFileSync(deck, markdown('Cuarta charla'));
      await expect.poll(() => page.locator('h1').first().textContent(), { timeout: 20_000 }).toBe('Cuarta charla');
      await planner(page).waitFor();
      expect(await verdict(page)).toBe(said);
    });

    it('closes at Escape, which opens nothing else, and gives the keys back', async () => {
      await page.keyboard.press('Escape');
      await planner(page).waitFor({ state: 'hidden' });
      expect(await overviews(page)).toBe(0);
      await page.keyboard.press('ArrowRight');
      await expect.poll(() => page.url()).toMatch(/#2$/);
    });
  });

  it('asks for nothing, nor offers it, in a window without the key, and says why', async () => {
    if (!await panel(page).isVisible()) await page.keyboard.press('c');
    const guests = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    const guest = await guests.newPage();
    await guest.goto(`${origin()}/#2`);
    await panel(guest).waitFor(); // as the others see it
    expect(await guest.getByRole('button', { name: /Ejecutar|Detener|Cierra el panel/ }).count()).toBe(0);
    await guest.keyboard.press('e');
    expect(await guest.locator('.vivo-aviso').textContent()).toContain('solo mira');
    await guests.close();
  });

  it("shows the presenter's slide in a window without the key, until it turns to another, and once it is back", async () => {
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    const guests = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    const guest = await guests.newPage();
    await guest.goto(origin());
    const slide = (on: Page) => expect.poll(() => on.locator('svg[data-marpit-svg]').evaluateAll((all) =>
      all.findIndex((one) => one.classList.contains('bespoke-marp-active'))));
    const back = guest.getByRole('button', { name: 'Volver a la charla' });
    await slide(guest).toBe(1);
    await page.keyboard.press('ArrowLeft');
    await slide(guest).toBe(0);
    expect(await back.isVisible()).toBe(false);
    await guest.keyboard.press('ArrowRight');
    await back.waitFor();
    await page.keyboard.press('ArrowRight');
    await back.waitFor({ state: 'hidden' }); // both are at the same again
    await guest.keyboard.press('ArrowLeft');
    await slide(guest).toBe(0);
    await slide(page).toBe(1);
    await back.tap();
    await slide(guest).toBe(1);
    await page.keyboard.press('ArrowLeft');
    await slide(guest).toBe(0);
    await page.keyboard.press('ArrowRight');
    await slide(guest).toBe(1);
    await guest.keyboard.press('e');
    await guest.getByText('Esta ventana solo mira').waitFor();
    const notice = (await guest.locator('.vivo-aviso').boundingBox())!;
    expect(notice.width).toBeGreaterThan(300); // most of a telephone's
    await guest.keyboard.press('ArrowLeft');
    const { y, height } = (await back.boundingBox())!;
    expect(y + height < notice.y || notice.y + notice.height < y).toBe(true); // neither lies over the other
    await guests.close();
  });

  it("shows time and pace in the presenter's view alone", async () => {
    const presenter = await open(`${origin()}/?view=presenter#2`);
    const clock = presenter.locator('.vivo-reloj');
    await expect.poll(() => clock.textContent()).toBe('parado · 11:00 · esta, 10:00');
    await presenter.keyboard.press('t');
    await expect.poll(() => clock.textContent()).toMatch(/^quedan 1[01]:\d\d · vas 0:\d\d por delante · esta, 0:0\d de 10:00$/);
    expect(await clock.getAttribute('data-ritmo')).toBe('ahead');
    expect(await clock.evaluate((face) => face.style.color)).toBe('rgb(86, 180, 233)');
    await presenter.keyboard.press('ArrowLeft');
    await expect.poll(() => timed.at(-1)?.slides[1]?.seconds).toBeGreaterThan(0); // each turn tells what the slide took
    await presenter.waitForTimeout(200); // a slide that is on show for less than 0,05 s took none: no talk was given
    await presenter.keyboard.press('ArrowRight');
    await presenter.keyboard.press('t');
    await expect.poll(() => clock.textContent()).toMatch(/^parado · 11:00 · esta, 10:00 \(la última vez, 0:\d\d\)$/);
    expect(timed.at(-1)!.slides.map(({ title, share }) => [title, share])).toEqual([['Cuarta charla', 60], ['Demo', 600]]);
    expect(await page.locator('.vivo-reloj').count()).toBe(0);
    await presenter.close();
  });

  it('says so when the server is gone, and goes on with one that takes the session over', async () => {
    let session: Session | undefined;
    const first = await start({ keep: (kept) => { session = kept; } });
    const port = Number(new URL(first.url).port);
    const window = await open(first.url);
    await window.keyboard.press('ArrowRight');
    await first.talk.ready;
    await window.keyboard.press('e');
    await panel(window).and(window.locator('[data-estado="running"]')).waitFor();
    first.talk.clock(true, 1);
    const kept = session!;
    expect(kept.clock).toBeDefined();
    const guests = await browser.newContext();
    const guest = await guests.newPage();
    await guest.goto(new URL(first.url).origin);
    await first.close();
    await expect.poll(() => window.locator('.vivo-aviso').textContent()).toMatch(/^Sin conexión .* en su terminal/);
    await expect.poll(() => guest.locator('.vivo-aviso').textContent()).toMatch(/^Sin conexión .* vuelve sola/);
    await guests.close();
    expect(await label(window)).toMatch(/^en vivo · (detenida|terminada)/);
    const second = await start({ port, session: kept });
    await expect.poll(() => window.locator('.vivo-aviso').isVisible()).toBe(false);
    expect(second.talk.state.clock).toEqual(kept.clock);
    await second.talk.ready;
    await window.keyboard.press('e');
    await panel(window).and(window.locator('[data-estado="running"]')).waitFor();
    await window.close();
    await second.close();
  });

  it('plays a recorded run back, with no process', async () => {
    const replayed = await start({ replaySpeed: 1000 });
    const window = await open(replayed.url);
    expect(replayed.talk.pid).toBeUndefined();
    await window.keyboard.press('ArrowRight');
    await window.keyboard.press('e');
    await finished(window);
    expect(await label(window)).toMatch(/^grabado el .* · reproducción$/);
    expect(await panel(window).locator('[data-grafico="evaluation"] td').count()).toBeGreaterThan(3);
    await window.close();
    await replayed.close();
  });

  it('plays recorded runs back from a file, with no request', async () => {
    const file = join(folder, 'charla.html');
    const page = await new PageMaker(deck, {}).draw();
    const short = (id: string) => record({ id, seconds: 2 }); // it takes an eighth to play back
    writeFileSync(file, await withRecordings(page.html.replace('<script src="live.js"></script>', ''), short));
    const window = await context.newPage();
    const asked: string[] = [];
    window.on('request', (request) => { if (!request.url().startsWith('data:')) asked.push(request.url()); });
    await window.goto(pathToFileURL(file).href);
    await window.keyboard.press('End');
    await window.keyboard.press('e');
    await finished(window);
    expect(await label(window)).toBe('grabado el 2 mar 2026, en Una & otra (2 núcleos) · reproducción');
    expect(await panel(window).locator('[data-grafico="evaluation"]').innerText()).toContain('82,1 %');
    expect(await panel(window).locator('pre').innerText()).toContain('for await (const event of train(');
    expect(asked).toEqual([pathToFileURL(file).href]);
    await window.close();
  });
});
