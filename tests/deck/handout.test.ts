import { writeFileSync } from 'node:fs';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { handoutHtml } from '../../src/deck/handout.ts';
import type { HandoutOptions } from '../../src/deck/handout.ts';
import { temporaryFolder } from '../temporary.ts';
import { readAll, record } from './record.ts';

const at = temporaryFolder();

function handout(markdown: string, options: HandoutOptions = {}) {
  writeFileSync(at('charla.md'), markdown);
  const html = handoutHtml(at('charla.md'), { read: readAll, ...options });
  return { html, sheets: [...parseHTML(html).document.querySelectorAll('article')] };
}

const parts = (sheet: Element) => [...sheet.children].map((part) => part.className);

describe('the handout', () => {
  it('has a sheet a slide: the slide, its notes, all that its experiment measured, and where from', () => {
    const { sheets } = handout('# Una\n\n^ **Notas:** Uno.\n\n^ Dos & tres.\n\n---\n\n<!-- experimento: qlora -->\n# Otra\n\n![x](run:qlora/bytes)');
    expect(sheets.map(parts)).toEqual([['marpit', 'notas'], ['marpit', 'medidas', 'origen']]);
    expect([...sheets[0]!.querySelectorAll('.notas p')].map((note) => note.textContent)).toEqual(['Uno.', 'Dos & tres.']);
    const figures = [...sheets[1]!.querySelectorAll('.medidas figure')];
    expect(figures.map((figure) => figure.querySelector('figcaption')!.textContent)).toEqual([
      expect.stringMatching(/^Pérdida de entrenamiento.*\.$/), expect.stringMatching(/^Memoria/), expect.stringMatching(/^Acierto/),
    ]);
    expect(figures.map((figure) => figure.firstElementChild!.tagName)).toEqual(['SVG', 'SVG', 'TABLE']);
    expect(sheets[1]!.querySelector('.origen')!.textContent).toMatch(/^Medido aquí el 2 mar 2026 · .* · npm run demo$/);
  });

  it('says where the figures of a slide without an experiment come from, and that they are stale', () => {
    const stale = (id: string) => (id === 'qlora' ? record({}, [{ path: 'nowhere', sha256: '' }]) : undefined);
    const { sheets } = handout('# Una\n\nSon {{qlora.training.steps}} pasos.', { read: stale });
    expect(parts(sheets[0]!)).toEqual(['marpit', 'origen']);
    expect(sheets[0]!.querySelector('.origen')!.textContent).toContain('OBSOLETO');
  });

  it('shows the slide alone where there is no recorded run', () => {
    expect(handout('<!-- experimento: qlora -->\n# Una', { read: () => undefined }).sheets.map(parts)).toEqual([['marpit']]);
  });

  it('is light, in the size that is asked for, for A4', () => {
    const { html, sheets } = handout('---\ntheme: modulo\n---\n# Una', { size: '4:3' });
    expect(sheets[0]!.querySelector('section')!.dataset).toMatchObject({ theme: 'claro', size: '4:3' });
    expect(html.match(/@page/g)).toHaveLength(1);
    expect(html).toContain('size: A4');
  });

  it('is called as the deck, which its front matter or its first heading says, and what it is', () => {
    expect(handout('---\ntitle: "Una & otra"\n---\n# Primera').html).toContain('<title>Una &amp; otra · apuntes</title>');
    expect(handout('# Primera').html).toContain('<title>Primera · apuntes</title>');
  });

  it('keeps the code and the emphasis of notes, and takes those of comments as they are', () => {
    const [sheet] = handout('# Una\n\n^ **Notas:** Con `r=8` y *poco*, {{qlora.training.steps}}.\n\n<!-- a < *b* -->').sheets;
    expect([...sheet!.querySelectorAll('.notas p')].map((note) => note.innerHTML))
      .toEqual(['Con <code>r=8</code> y <em>poco</em>, 125.', 'a &lt; *b*']);
  });

  it('leaves notes out', () => {
    expect(handout('# Una\n\n^ **Notas:** Uno.', { notes: false }).sheets.map(parts)).toEqual([['marpit']]);
  });
});
