import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { record, render } from './record.ts';

describe('embed', () => {
  it('draws the chart as a block of its own, not inside a paragraph', () => {
    const [html] = render('Antes\n\n![La pérdida](run:qlora/loss)\n\ndespués').html;
    expect(html).toMatch(/<p>Antes<\/p>\s*<figure><svg[^>]*aria-label="La pérdida\. [^"]*\d[^"]*"/);
    expect(html).toMatch(/<\/svg><\/figure>\s*<p>después<\/p>/);
    expect(html).not.toContain('run:');
  });

  it('draws tables, and escapes what a model answered', () => {
    const [html] = render('![Muestras](run:qlora/samples)').html;
    expect(html).toContain('<figure><table class="medida" aria-label="Muestras">');
    expect(html).toContain('es &lt;b&gt; x');
  });

  it('leaves other images alone', () => {
    expect(render('![foto](foto.png)').html[0]).toContain('<img src="foto.png" alt="foto"');
  });

  it('says that a run is missing, without a word on where it comes from', () => {
    const [html] = render('![La pérdida](run:qlora/loss)', () => undefined).html;
    expect(html).toContain('Sin medir todavía: falta la ejecución qlora');
    expect(html).not.toContain('procedencia');
  });

  it.each([
    ['![x](run:qlora/nada)', /«run:qlora\/nada», que no existe; los hay: run:qlora\/loss, .*run:checkpointing\/peak/],
    ['![x](run:nada/loss)', /no existe/],
    ['![x](run:qlora)', /no existe/],
    ['texto ![x](run:qlora/loss)', /tiene que ir sola en su párrafo/],
    ['- ![x](run:qlora/loss) y más', /tiene que ir sola en su párrafo/],
    ['![](run:qlora/loss)', /^La imagen «run:qlora\/loss» no tiene texto alternativo: di .*\.$/],
    ['![ ](diagrama:lora)', /«diagrama:lora» no tiene texto alternativo/],
    ['# ![x](run:qlora/loss)', /tiene que ir sola en su párrafo/],
  ])('refuses %s', (markdown, message) => {
    expect(() => render(markdown)).toThrow(UserError);
    expect(() => render(markdown)).toThrow(message);
  });

  it('names the figure that an old record lacks', () => {
    const old = record({ results: { evaluation: { before: { loss: 1 } } } });
    expect(() => render('![La tabla](run:qlora/evaluation)', () => old))
      .toThrow(/A la ejecución «qlora» le falta la cifra «evaluation\.before\.perplexity» que pide «La tabla»/);
  });
});
