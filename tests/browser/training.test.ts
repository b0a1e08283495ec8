import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { qlora } from '../../demo/qlora.ts';
import { withTraining } from '../../src/cli/page/embed.ts';
import { embedded } from '../../src/cli/page/paths.ts';
import { deckHtml } from '../../src/deck/marp-cli.ts';
import { withRecordings } from '../../src/live/recordings.ts';
import { filesId, orderId, pack, program, unpack } from '../../src/live/training.ts';
import type { TrainingMessage, TrainingOrder } from '../../src/live/training.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { readAll } from '../deck/record.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // a browser on a busy machine

const folder = mkdtempSync(join(tmpdir(), 'training-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const steps = 4;
const { modelDir, data, heldOut } = embedded;

describe.skipIf(!executable)(`a training in the exported page${why}`, () => {
  let [browser, withGpu, exported]: [Browser | undefined, Browser | undefined, string] = [undefined, undefined, ''];
  beforeAll(async () => {
    const deck = join(folder, 'demo.md');
    writeFileSync(deck, '# Demo\n\n<!-- experimento: qlora -->');
    exported = await withRecordings(await withTraining(await deckHtml(deck, { notes: false })), readAll);
    browser = await launch();
  });
  afterAll(() => Promise.all([browser?.close(), withGpu?.close()]));

  /** Opens the page without a network, with an order of its own, and presses «Entrenar aquí». */
  async function press(
    order: TrainingOrder, change = (html: string) => html, inside = browser,
  ): Promise<{ page: Page; asked: string[] }> {
    const file = join(folder, 'page.html');
    const html = exported.replace(`id="${orderId}">{}`, () => `id="${orderId}">${JSON.stringify(order)}`);
    expect(html).toContain(JSON.stringify(order));
    writeFileSync(file, change(html));
    const context = await inside!.newContext({ viewport: { width: 1280, height: 720 } });
    await context.setOffline(true);
    const page = await context.newPage();
    await page.addInitScript(() => { // hears what the worker tells, beside the page
      const told: unknown[] = [];
      const { Worker } = globalThis;
      globalThis.Worker = class extends Worker {
        constructor(url: string | URL) {
          super(url);
          this.addEventListener('message', ({ data }) => told.push(data));
        }
      };
      Object.assign(globalThis, { told });
    });
    const asked: string[] = [];
    page.on('request', (request) => { if (!/^(data|blob):/.test(request.url())) asked.push(request.url()); });
    await page.goto(pathToFileURL(file).href);
    expect(asked.splice(0)).toEqual([pathToFileURL(file).href]);
    await page.getByRole('button', { name: 'Entrenar aquí' }).first().click();
    return { page, asked };
  }

  const panel = (page: Page) => page.locator('.vivo[aria-label="QLoRA en Alpaca"]');
  const state = (page: Page) => panel(page).getAttribute('data-estado');

  const told = (page: Page) => page.evaluate(() => (globalThis as unknown as { told: TrainingMessage[] }).told);

  async function losses(page: Page): Promise<number[]> {
    return (await told(page)).flatMap((message) =>
      (message.type === 'event' && message.event.type === 'step' ? [message.event.loss] : []));
  }

  /** The page with some of its files changed. */
  const withFiles = (html: string, change: (files: Map<string, Uint8Array>) => void) =>
    html.replace(new RegExp(`(id="${filesId}">)([^<]*)`), (_, begin: string, text: string) => {
      const files = unpack(gunzipSync(Buffer.from(text, 'base64')));
      change(files);
      return begin + gzipSync(pack(files)).toString('base64');
    });

  /** The losses of the same steps under Node, of records from `file`. */
  async function lossesInNode(steps: number, file = data): Promise<number[]> {
    const found: number[] = [];
    await useBackend('wasm');
    await qlora({
      modelDir, outDir: join(folder, 'node'), quant: {}, adapter: { seed: 42 },
      data: {
        files: [file], heldOutFiles: [heldOut], examples: 1000, heldOut: 0,
        template: 'es', maxLength: 256, seed: 42,
      },
      training: { steps, seed: 42 },
    }, {
      loaded() {}, adapted() {}, data() {}, saved() {},
      event(event) {
        if (event.type === 'step') found.push(event.loss);
      },
    });
    return found;
  }

  function expectClose(found: readonly number[], expected: readonly number[]): void {
    expect(found).toHaveLength(expected.length);
    found.forEach((loss, i) => expect(Math.abs(loss - expected[i]!), `step ${i + 1}`).toBeLessThan(1e-3));
  }

  it('takes Node\'s own steps by wasm, its loss falls, the table arrives, and nothing is asked for', async () => {
    const { page, asked } = await press({ backend: 'wasm', steps, questions: 8 });
    await panel(page).getByText(/^en vivo, en esta página · \d/).waitFor();
    await expect.poll(() => state(page), { timeout: 50_000 }).toBe('finished');
    const found = await losses(page);
    expect(found.at(-1)).toBeLessThan(found[0]!);
    expectClose(found, await lossesInNode(steps));
    const table = panel(page).locator('figure[data-grafico="evaluation"] table');
    await table.waitFor();
    expect(await table.innerText()).toMatch(/8 preguntas[\s\S]*acierto exacto[\s\S]*%[\s\S]*%/);
    expect(asked).toEqual([]);
    await page.context().close();
  });

  it('takes the same steps by WebGPU, on the software adapter that Chromium carries, and asks for nothing', async () => {
    withGpu = await chromium.launch({
      executablePath: executable,
      args: ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'],
    });
    // The adapter takes its time: a batch of the shortest records alone, half as many as others have.
    const records = JSON.parse(readFileSync(data, 'utf8')) as { instruction: string; output: string }[];
    const lengthOf = ({ instruction, output }: typeof records[number]) => instruction.length + output.length;
    const short = JSON.stringify(records.sort((a, b) => lengthOf(a) - lengthOf(b)).slice(0, 4));
    const file = join(folder, 'short.json');
    writeFileSync(file, short);
    const { page, asked } = await press({ backend: 'webgpu', steps: 2, questions: 0 },
      (html) => withFiles(html, (files) => files.set(data, Buffer.from(short))), withGpu);
    await expect.poll(() => state(page), { timeout: 280_000 }).toBe('finished');
    expect(await panel(page).innerText()).toContain('WebGPU (');
    expectClose(await losses(page), await lossesInNode(2, file));
    expect(asked).toEqual([]);
    await page.context().close();
  }, 300_000);

  it('prefers wasm, if nothing is asked for, to a software adapter', async () => {
    const { page } = await press({ steps: 1, questions: 0 }, undefined, withGpu);
    await expect.poll(() => state(page), { timeout: 50_000 }).toBe('finished');
    expect(await panel(page).innerText()).toContain('WebAssembly, en un hilo');
    await page.context().close();
  });

  it('is stopped at once, and can be begun again', async () => {
    const { page } = await press({ backend: 'wasm', steps, questions: 0 });
    await expect.poll(async () => (await told(page)).length, { timeout: 30_000 }).toBeGreaterThan(0);
    await panel(page).getByRole('button', { name: 'Detener' }).click();
    expect(await state(page)).toBe('stopped');
    await panel(page).getByText(/^en vivo, en esta página · detenida/).waitFor();
    await panel(page).getByRole('button', { name: 'Entrenar aquí' }).click();
    await expect.poll(() => state(page), { timeout: 50_000 }).toBe('finished');
    await page.context().close();
  });

  it.each<[string, TrainingOrder, (html: string) => string, RegExp]>([
    ['a GPU that is not there', { backend: 'webgpu' }, (html) => html, /^WebGPU no encuentra ninguna GPU .*\.$/],
    ['a file that is missing', { backend: 'wasm' }, (html) => withFiles(html, (files) => files.delete('assets/model/tokenizer.json')),
      /^[^.]*«assets\/model\/tokenizer\.json»[^\n]*\.$/],
    ['a program that breaks', {}, (html) => withFiles(html, (files) => files.set(program, Buffer.from('throw new Error("roto")'))),
      /^El entrenamiento no puede seguir en esta página \(.*roto\): prueba con otro navegador, o reproduce la ejecución grabada\.$/],
    ['files that are damaged', {}, (html) => html.replace(new RegExp(`(id="${filesId}">)[^<]{40}`), '$1'),
      /^El entrenamiento no puede seguir en esta página \(.*\): prueba con otro navegador, .*\.$/],
  ])('tells %s in one Spanish sentence', async (_what, order, change, sentence) => {
    const { page } = await press(order, change);
    await expect.poll(() => panel(page).locator('.vivo-motivo').innerText(), { timeout: 30_000 }).toMatch(sentence);
    expect(await state(page)).toBe('stopped');
    await page.context().close();
  });
});
