import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { palette } from '../../src/charts/palette.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { mixtureRecord } from '../deck/record.ts';
import { parse } from './drawing.ts';

describe('the mixture', () => {
  const words = (html: string) => [...parse(html).querySelectorAll('text')].map((one) => one.textContent);
  const fills = (html: string, selector: string) =>
    new Map([...parse(html).querySelectorAll(selector)].map((one) => [one.textContent, one.getAttribute('fill')]));

  it('is a matrix of adapters by families, the best of each column set off, what is forgotten in words', () => {
    const drawn = charts.mixture!.matrix!(mixtureRecord(), '');
    expect(words(drawn)).toEqual([
      'plurales', 'antónimos', 'todas', 'base', '0 %', '0 %', '0 %', 'solo plurales', '96 %', '0 %', '52 %',
      'solo antónimos', '25 %', '80 %', '50 %', 'router', '92 %', '85 %', '89 %',
    ]);
    const bold = [...parse(drawn).querySelectorAll('[font-weight]')].map((one) => one.textContent);
    expect(bold).toEqual(['96 %', '85 %', '89 %']);
    expect(parse(drawn).querySelector('figcaption')!.textContent).toBe('Acierto exacto en 44 preguntas de examen. Olvido '
      + 'medio: uno tras otro, 71,3 puntos; router, -0,5 puntos. Coste por token, sobre la base: un adapter, 1,10×.');
  });

  it('names adapters and families in one colour, and tells each share by a bar and to who hears it', () => {
    const drawn = charts.mixture!.matrix!(mixtureRecord(), 'El acierto');
    const colours = fills(drawn, 'text');
    for (const [name, colour] of [['plurales', 'learns'], ['antónimos', 'measured']] as const) {
      expect([colours.get(name), colours.get(`solo ${name}`)]).toEqual([palette[colour], palette[colour]]);
    }
    for (const name of ['todas', 'base', 'router']) expect(colours.get(name)).toBe(palette.text);
    const bars = [...parse(drawn).querySelectorAll(`rect:not([fill="${palette.panel}"])`)];
    const widths = bars.map((bar) => Number(bar.getAttribute('width')));
    expect(widths).toHaveLength(8); // a share of 0 has none
    expect(widths[1]! / widths[0]!).toBeCloseTo(0.52 / 0.96, 2);
    expect(bars.map((bar) => bar.getAttribute('fill') === palette.measured)).toEqual([true, false, false, false, false, false, true, true]);
    expect(drawn).toContain('"El acierto. base: plurales 0 %; antónimos 0 %; todas 0 %. solo plurales: plurales 96 %; antónimos 0 %; todas 52 %. ');
  });

  it('says when AdaMix does worse than the best adapter alone, and only then', () => {
    const { matrix } = mixtureRecord().results as { matrix: object[] };
    const said = (all: number) => parse(charts.mixture!.matrix!(mixtureRecord({
      results: { ...mixtureRecord().results, matrix: [...matrix, { name: 'AdaMix', matches: [0.5, 0.5], all }] } as RunRecord['results'],
    }), '')).querySelector('figcaption')!.textContent;
    expect(said(0.51)).toMatch(/ AdaMix no llega aquí al mejor adapter suelto\.$/);
    expect(said(0.52)).not.toContain('AdaMix');
  });

  it('goes on in another line where a sentence is long, and each answer begins one', () => {
    const tokens = [...Array.from({ length: 30 }, () => 'dos'), '\n'];
    const weights = tokens.map((_, i) => (i < 20 ? [1, 0] : [0, 1]));
    const routed = [{ tokens, weights }, { tokens: ['Otra'], weights: [[1, 0]] }];
    const drawn = charts.mixture!.routing!(mixtureRecord({ results: { ...mixtureRecord().results, routed } }), '');
    const places = [...parse(drawn).querySelectorAll('[lang]')].map((one) => ['x', 'y'].map((name) => Number(one.getAttribute(name))));
    const heights = [...new Set(places.map(([, y]) => y!))];
    expect(heights).toHaveLength(3);
    for (const height of heights) {
      const line = places.filter(([, y]) => y === height).map(([x]) => x!);
      expect(line[0]).toBe(0);
      expect(line).toEqual([...new Set(line)].sort((a, b) => a - b));
      expect(line.at(-1)).toBeLessThan(520);
    }
    expect(words(drawn)).toContain('↵');
    expect(drawn).toContain('Respuesta 1, de 31 tokens: plurales en 20; antónimos en 11. Respuesta 2, de 1 tokens: plurales en 1.');
  });

  it('writes under each token the letter of the adapter that weighs most there', () => {
    expect(words(charts.mixture!.routing!(mixtureRecord(), ''))).toEqual(['A · plurales', 'B · antónimos', 'El', 'A', ' plural', 'B']);
  });
});
