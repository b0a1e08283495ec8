import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { axeFaults, contrastFaults, openDeck, overflowFaults } from '../../src/check/browser.ts';
import { readAll } from '../deck/record.ts';
import { executable, launch, why } from './chromium.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }); // a browser on a busy machine

describe.skipIf(!executable)(`what a browser measures${why}`, () => {
  let browser: Browser;
  beforeAll(async () => { browser = await launch(); });
  afterAll(() => browser.close());

  /** @param css put over the theme's */
  async function faults(measure: typeof overflowFaults, markdown: string, css = ''): Promise<string[]> {
    const page = await openDeck(browser, markdown, { read: readAll });
    await page.addStyleTag({ content: `/* */${css}` });
    const found = await measure(page);
    await page.close();
    return found;
  }
  const chart = '# Una\n\n<div class="columnas">\n<div>\n\n![La pérdida](run:qlora/loss)\n\n</div>\n</div>\n\n---\n\n# Otra\n\nUn texto con `código`.';

  it('finds nothing wrong in a sound slide', async () => {
    expect(await faults(overflowFaults, chart)).toEqual([]);
    expect(await faults(contrastFaults, chart)).toEqual([]);
    expect(await faults(axeFaults, chart)).toEqual([]);
  });

  it('sees a slide that is too long, a box that is too wide and a word outside its drawing', async () => {
    expect(await faults(overflowFaults, `# Una\n\n${'Un párrafo.\n\n'.repeat(30)}\n\n---\n\n# Otra`))
      .toEqual([expect.stringMatching(/^diapositiva 1: section se sale \d+ px por abajo$/)]);
    expect(await faults(overflowFaults, `# Una\n\n---\n\n\`\`\`\n${'x'.repeat(300)}\n\`\`\``))
      .toContainEqual(expect.stringMatching(/^diapositiva 2: pre se sale \d+ px por la derecha$/));
    expect(await faults(overflowFaults, '# Una\n\n![W](diagrama:lora)', 'svg text { font-size: 90px; }'))
      .toContainEqual(expect.stringMatching(/^diapositiva 1: «.*» se sale de su dibujo$/));
  });

  it('sees words and shapes that do not stand out, through opacity too', async () => {
    const told = (css: string) => faults(contrastFaults, chart, css);
    expect(await told('section > p { color: #777; }')).toEqual([expect.stringMatching(/^diapositiva 2: «Un texto con.*», 4,\d\d:1 y hacen falta 7:1$/)]);
    expect(await told('section > p { opacity: 0.4; }')).toHaveLength(2); // the words, and the code among them
    expect(await told('section > p code { background: #777; }')).toEqual([expect.stringMatching(/«código»/)]);
    expect(await told('svg [stroke="var(--learns)"] { stroke: #222; }')).toEqual([expect.stringMatching(/^diapositiva 1: <path> de un dibujo, 1,\d\d:1 y hacen falta 3:1$/)]);
  });

  it('asks axe', async () => {
    expect(await faults(axeFaults, '# Una\n\n$$ a $$')).toEqual([expect.stringMatching(/^svg-img-alt en /)]);
  });
});
