import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { barsChart } from '../../src/charts/bars.ts';
import { diagrams } from '../../src/charts/diagrams.ts';
import { charts } from '../../src/charts/index.ts';
import { nf4Levels } from '../../src/charts/nf4.ts';
import { palette } from '../../src/charts/palette.ts';
import { svg, text } from '../../src/charts/svg.ts';
import { caption, table } from '../../src/charts/table.ts';
import { CODEBOOKS } from '../../src/quant/codebooks.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import {
  adaloraRecord, benchRecord, checkpointingRecord, mixtureRecord, peftRecord, quantizationRecord, readAll, record,
  shardingRecord,
} from '../deck/record.ts';

const parse = (html: string) => parseHTML(`<html><body>${html}</body></html>`).document;
const rows = (html: string) => [...parse(html).querySelectorAll('tr')].map((row) => [...row.children].map((cell) => cell.textContent));
const all = [
  ...Object.entries(charts).flatMap(([id, of]) => Object.entries(of).map(([name, draw]) =>
    [`run:${id}/${name}`, (alt: string) => draw(readAll(id)!, alt)] as const)),
  ...Object.entries(diagrams).map(([name, draw]) => [`diagrama:${name}`, draw] as const),
];

describe('every chart, table and diagram', () => {
  it.each(all)('%s has a name, comes out the same twice, and fetches nothing', (which, draw) => {
    const html = draw('Un «nombre» & otro');
    expect(html).toBe(draw('Un «nombre» & otro'));
    const name = parse(html).querySelector('svg, table')!.getAttribute('aria-label');
    expect(name).toMatch(/^Un «nombre» & otro($|\. )/);
    if (html.startsWith('<svg') && which.startsWith('run:')) expect(name).toMatch(/otro\. .*\d.*[^.]\.$/); // its figures, to be heard
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|<image|href=/);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('charts of comparisons', () => {
  const words = (html: string) => parse(html).body.textContent!;

  it('write their figures on the drawing', () => {
    const { ranks, spectrum } = charts.lora!;
    expect(words(ranks!(readAll('lora')!, ''))).toContain('full fine-tuning: 0,15');
    expect(words(spectrum!(readAll('lora')!, ''))).toContain('con r = 16');
    expect(words(charts.practices!.finder!(readAll('practices')!, ''))).toContain('cae más deprisa en 0,001');
    expect(words(charts.practices!.overfitting!(readAll('practices')!, ''))).toMatch(/sin dropout.*dropout 0,3.*early stopping/s);
  });

  it('tell their figures to who hears them', () => {
    const heard = (html: string) => parse(html).querySelector('svg')!.getAttribute('aria-label');
    const events = [
      { type: 'evaluation', when: 'before', step: 0, loss: 2.5, perplexity: 12, exactMatch: 0, count: 9 },
      ...Array.from({ length: 9 }, (_, i) => ({ type: 'step', step: i + 1, loss: 1 - i / 10, secondsLeft: 0, tokensPerSecond: 1 })),
    ];
    expect(heard(charts.qlora!.loss!({ ...record(), events } as unknown as RunRecord, 'La pérdida'))).toBe('La pérdida. '
      + 'Entrenamiento: 0,80 (paso 1); 0,70 (paso 3); 0,60 (paso 5); 0,50 (paso 7); 0,40 (paso 9). Examen: 2,50 (paso 0).');
    expect(heard(charts.mixture!.matrix!(mixtureRecord(), 'El acierto.'))).toMatch(/^El acierto\. base: .* todas \d+ %\. /);
    expect(heard(charts.checkpointing!.partition!(record(), 'ZeRO'))).toContain('. ZeRO-1: parámetros 2 Ψ; gradientes 2 Ψ; optimizador 3 Ψ. ');
  });

  it('tell by more than a colour what a rank does, and which curve is which', () => {
    const lanes = [...parse(charts.sharding!.ranks!(shardingRecord(), '')).querySelectorAll('rect')].slice(-4);
    const shapes = lanes.map((one) => ['y', 'height', 'fill-opacity'].map((name) => one.getAttribute(name)).join());
    expect(new Set(shapes).size).toBe(4);
    const curves = [...parse(charts.practices!.overfitting!(readAll('practices')!, '')).querySelectorAll('path')];
    expect(curves.filter((curve) => curve.closest('[stroke-dasharray]'))).toHaveLength(1);
  });

  it('name both their axes', () => {
    expect(words(charts.lora!.ranks!(readAll('lora')!, ''))).toMatch(/pérdida de examen.*rango r/s);
    expect(words(charts.lora!.spectrum!(readAll('lora')!, ''))).toMatch(/parte de ‖ΔW‖².*rango r/s);
    expect(words(charts.practices!.finder!(readAll('practices')!, ''))).toMatch(/pérdida.*tasa de aprendizaje/s);
    expect(words(charts.practices!.overfitting!(readAll('practices')!, ''))).toMatch(/pérdida.*paso/s);
    expect(words(charts.qlora!.loss!(record(), ''))).toMatch(/pérdida.*paso/s);
  });

  it('draw the cut update as far as the ranks go that were trained', () => {
    const read = readAll('lora')!;
    const drawn = charts.lora!.ranks!(read, 'El rango');
    expect(drawn).toContain('. ΔW recortado: 0,80 (r = 1); 0,79 (r = 4); 0,77 (r = 16); 0,67 (r = 64). Full fine-tuning: 0,15.');
    expect(words(drawn)).toContain('recortado a rango r');
    const { truncated: _, ...begun } = read.results;
    expect(words(charts.lora!.ranks!({ ...read, results: begun as RunRecord['results'] }, ''))).not.toContain('recortado');
  });

  it('end their scale of losses above the highest, where a label stands', () => {
    const { results, ...rest } = readAll('lora')!;
    const truncated = [{ r: 1, loss: 0.38, exactMatch: 0 }];
    const ranks = (results.ranks as object[]).map((one) => ({ ...one, loss: 0.3 }));
    const drawn = charts.lora!.ranks!({ ...rest, results: { ranks, variants: [], truncated } } as RunRecord, '');
    expect(words(drawn)).toMatch(/00,10,20,30,4/);
  });

  it('set off the least loss of a sweep, and of the modules', () => {
    const cells = [...parse(charts.practices!.sweep!(readAll('practices')!, '')).querySelectorAll('text[font-weight]')];
    expect(new Set(cells.map((cell) => cell.textContent))).toEqual(new Set(['0,420']));
    const best = parse(charts.practices!.modules!(readAll('practices')!, '')).querySelector('.mejor')!;
    expect(best.parentElement!.firstElementChild!.textContent).toBe('todas las lineales');
  });

  it('draw a run of which little is known yet', () => {
    const { results, ...rest } = readAll('lora')!;
    const { ranks, variants } = results;
    expect(charts.lora!.ranks!({ ...rest, results: { ranks: ranks!, variants: variants! } }, '')).not.toMatch(/NaN|undefined/);
  });

  it('say what dropout did on few examples, also where it did not help', () => {
    const record = readAll('practices')!;
    const { overfitting } = record.results as { overfitting: { plain: { step: number; loss: number }[] } };
    const said = (losses: readonly number[]) => words(charts.practices!.overfitting!({
      ...record,
      results: {
        overfitting: { ...overfitting, dropped: overfitting.plain.map((one, i) => ({ ...one, loss: losses[i]! })) },
      },
    }, ''));
    expect(said([0.5, 0.3, 0.4, 0.6])).toContain(
      'Menor pérdida, 0,400; con dropout, 0,300. Al final, 0,700 y 0,600. El dropout baja ambas.');
    expect(said([0.5, 0.3, 0.4, 0.8])).toContain('El dropout baja la menor, no la del final');
    expect(said([0.6, 0.5, 0.5, 0.6])).toContain('Aquí el dropout no ayuda.');
  });

  it('say it where early stopping does not come to an end', () => {
    const read = readAll('practices')!;
    const { overfitting } = read.results as { overfitting: object };
    const drawn = (stopped: object | null) => words(charts.practices!.overfitting!(
      { ...read, results: { overfitting: { ...overfitting, stopped } } } as typeof read, ''));
    const never = 'Con paciencia 3, el early stopping no llega a parar.';
    expect(drawn(null)).toContain(never);
    expect(drawn({ step: 15, loss: 0.5, exactMatch: 0.2 })).not.toContain(never);
  });

  it('say what there is of few examples before dropout has been tried, and name each curve once', () => {
    const read = readAll('practices')!;
    const { overfitting } = read.results as { overfitting: object };
    const drawn = charts.practices!.overfitting!({ ...read, results: { overfitting: { ...overfitting, dropped: [] } } } as RunRecord, '');
    expect(parse(drawn).querySelector('figcaption')!.textContent).toBe('Menor pérdida, 0,400; al final, 0,700.');
    const whole = charts.practices!.overfitting!(read, '');
    expect([...parse(whole).querySelectorAll('text')].map((one) => one.textContent).filter((one) => /drop|entrena|stop/.test(one)))
      .toEqual(['sin dropout', 'dropout 0,3', 'early stopping', 'entrenamiento']);
    expect(whole).toContain('Early stopping en el paso 20.');
  });

  it('name the upper of two curves above, and rule where early stopping ends', () => {
    const read = readAll('practices')!;
    const { overfitting } = read.results as { overfitting: { plain: { step: number; loss: number }[] } };
    const heightOf = (html: string, name: string) => {
      let height = 0;
      const label = [...parse(html).querySelectorAll('text')].find((one) => one.textContent === name)!;
      for (let part: Element | null = label; part; part = part.parentElement) {
        height += Number(/translate\([^,]*,([-\d.]+)/.exec(part.getAttribute('transform') ?? '')?.[1] ?? 0);
      }
      return height;
    };
    const drawn = (by: number) => {
      const dropped = overfitting.plain.map((one) => ({ ...one, loss: one.loss + by }));
      return charts.practices!.overfitting!({ ...read, results: { overfitting: { ...overfitting, dropped } } } as RunRecord, '');
    };
    const apart = (by: number) => heightOf(drawn(by), 'dropout 0,3') - heightOf(drawn(by), 'sin dropout');
    expect(apart(-0.001)).toBeGreaterThan(18);
    expect(apart(0.001)).toBeLessThan(-18);
    expect(parse(drawn(0)).querySelectorAll('[stroke-dasharray="6 5"] line, line[stroke-dasharray="6 5"]')).toHaveLength(1);
  });

  it('mark the learning rate that is suggested on the curve', () => {
    const drawn = parse(charts.practices!.finder!(readAll('practices')!, ''));
    const dots = [...drawn.querySelectorAll('circle')].map((dot) => Number(dot.getAttribute('cx')));
    const [, mark] = /translate\(([\d.]+)/.exec(drawn.querySelector(`[fill="${palette.measured}"] > path[transform]`)!.getAttribute('transform')!)!;
    expect(Number(mark)).toBeCloseTo(dots[1]!, 1);
  });

  it('draw a sweep in the order of its two axes, the lower the loss the brighter', () => {
    const sweep = [[8, 16, 0.3], [8, 4, 0.5], [2, 16, 0.4], [2, 4, 0.7]]
      .map(([r, alpha, loss]) => ({ r, alpha, loss }));
    const of = (cells: typeof sweep) =>
      charts.practices!.sweep!({ ...readAll('practices')!, results: { sweep: cells } } as unknown as RunRecord, '');
    const drawn = parse(of(sweep));
    const cells = [...drawn.querySelectorAll('rect')].map((cell) =>
      [...['x', 'y', 'fill-opacity'].map((name) => Number(cell.getAttribute(name))), cell.getAttribute('stroke')]);
    expect(cells[0]).toEqual([cells[2]![0], cells[1]![1], expect.closeTo(0.35, 6), palette.measured]);
    expect(cells[3]).toEqual([cells[1]![0], cells[2]![1], expect.closeTo(0.05, 6), palette.line]);
    expect(cells[2]![2]).toBeCloseTo(0.05 + 0.3 * 0.75, 6);
    expect(cells[3]![0]).toBeLessThan(cells[0]![0] as number);
    expect(cells[3]![1]).toBeLessThan(cells[0]![1] as number);
    expect([...drawn.querySelectorAll('text')].slice(0, 5).map((one) => one.textContent)).toEqual(['alpha', '4', '16', 'r = 2', 'r = 8']);
    expect(of(sweep)).toContain('r = 2: 0,400 (alpha = 16); 0,700 (alpha = 4). r = 8: 0,300 (alpha = 16); 0,500 (alpha = 4).');
    expect(of([sweep[0]!])).toContain('fill-opacity="0.35"');
  });

  it('say whether perplexity and task choose the same, and if not, which comes later', () => {
    const read = readAll('practices')!;
    const { overfitting } = read.results as { overfitting: object };
    const said = (loss: [step: number, match: number], match: [step: number, match: number]) => {
      const [bestLoss, bestMatch] = [loss, match].map(([step, exactMatch]) => ({ step, loss: 0.5, exactMatch }));
      const results = { overfitting: { ...overfitting, bestLoss, bestMatch } };
      return parse(charts.practices!.metric!({ ...read, results } as RunRecord, '')).querySelector('figcaption')!.textContent;
    };
    expect(said([10, 0.3], [20, 0.3])).toBe('Aquí eligen lo mismo.');
    expect(said([10, 0.2], [20, 0.3])).toBe('No eligen lo mismo: la perplejidad ya sube mientras el acierto mejora.');
    expect(said([20, 0.2], [10, 0.3])).toBe('No eligen lo mismo: la perplejidad aún baja cuando el acierto ya no mejora.');
  });

  it('say whether few modules are enough, and if not, by how much', () => {
    const said = (...losses: number[]) => {
      const modules = losses.map((loss, i) => ({ modules: ['q, v', 'q, k, v, o', 'todas'][i], parameters: 1, loss, exactMatch: 0 }));
      const record = { ...readAll('practices')!, results: { modules } } as unknown as RunRecord;
      return parse(charts.practices!.modules!(record, '')).querySelector('figcaption')!.textContent;
    };
    expect(said(0.3, 0.35, 0.4)).toBe('q, v bastan aquí: nada más baja la pérdida.');
    expect(said(0.5, 0.4, 0.45)).toBe('Aquí no bastan q, v: su pérdida es un 25\u00a0% mayor que con q, k, v, o.');
  });

  it('show by which step perplexity and task would choose', () => {
    expect(rows(charts.practices!.metric!(readAll('practices')!, '')).map(([by, step, , match]) => [by, step, match])).toEqual([
      ['elige', 'paso', 'acierto'], ['la perplejidad', '10', '10 %'], ['la tarea', '20', '30 %'],
    ]);
  });
});

describe('tables', () => {
  it('write figures as a Spanish reader expects them', () => {
    expect(rows(charts.qlora!.evaluation!(record(), ''))).toEqual([
      ['364 preguntas de examen', 'antes', 'después'],
      ['acierto exacto', '1,4 %', '82,1 %'],
      ['pérdida', '2,403', '0,244'],
      ['perplejidad', '11,06', '1,28'],
    ]);
  });

  it('write the figures of a row to as many decimals, though they end in noughts', () => {
    const before = { loss: 2, perplexity: 7.5, exactMatch: 0, count: 9 };
    const after = { loss: 0.25, perplexity: 1.28, exactMatch: 0.5, count: 9 };
    const results = { evaluation: { before, after } } as RunRecord['results'];
    expect(rows(charts.qlora!.evaluation!(record({ results }), '')).slice(1)).toEqual([
      ['acierto exacto', '0,0 %', '50,0 %'], ['pérdida', '2,000', '0,250'], ['perplejidad', '7,50', '1,28'],
    ]);
  });

  it('show three questions at most', () => {
    const sample = { instruction: 'Di', input: '', expected: '', before: 'a', after: 'b' };
    const samples = Array.from({ length: 5 }, () => sample);
    expect(rows(charts.qlora!.samples!(record({ results: { samples } }), ''))).toHaveLength(1 + 3);
  });

  it('tell what each way of fine-tuning costs: measured, the highest peak first; calculated, in their order', () => {
    const { results, ...rest } = peftRecord();
    const measured = [...results.measured as object[]].reverse();
    const turned = { ...rest, results: { ...results, measured } } as RunRecord;
    expect(rows(charts.peft!.measured!(turned, '')).map(([name, parameters, , , , match]) => [name, parameters, match])).toEqual([
      ['aquí', 'parámetros', 'acierto'], ['full fine-tuning', '3\u202f672\u202f320', '80 %'], ['LoRA', '278\u202f528', '70 %'],
    ]);
    expect(rows(charts.peft!.planned!(peftRecord(), '')).slice(1, 3).map(([name, parameters]) => [name, parameters]))
      .toEqual([['full fine-tuning', '6738,4 M'], ['LoRA', '40,0 M']]);
  });

  it('put LoRA of the same rank beside its variants, between the base and full fine-tuning, where they are known', () => {
    const read = readAll('lora')!;
    expect(rows(charts.lora!.variants!(read, ''))).toEqual([
      ['r = 16', 'parámetros', 'pérdida', 'acierto'], ['sin entrenar', '0', '1,050', '1 %'],
      ['LoRA', '278\u202f528', '0,224', '40 %'], ['rsLoRA', '278\u202f528', '0,200', '45 %'], ['DoRA', '278\u202f528', '0,200', '45 %'],
      ['full', '3\u202f672\u202f320', '0,150', '70 %'],
    ]);
    const { base: _, full: __, ...begun } = read.results as Record<string, object[]>;
    const variants = [{ method: 'otra', r: 4, parameters: 1, loss: 1, exactMatch: 0 }];
    const record = { ...read, results: { ...begun, variants } } as unknown as RunRecord;
    expect(rows(charts.lora!.variants!(record, '')).map(([name]) => name)).toEqual(['r = 4', 'LoRA', 'otra']);
  });

  it('put every scheme’s figures beside the formula’s', () => {
    const told = rows(charts.sharding!.schemes!(shardingRecord(), ''));
    expect(told[1]).toEqual(['un rango', '1', '56,0 MiB', '56,0 MiB', '—', '—', 'igual']);
    expect(told[5]).toEqual(['ZeRO-3', '4', '14,0 MiB', '14,0 MiB', '21,0 MiB', '21,0 MiB', '±1e-7']);
  });

  it('write a batch before how often it is accumulated, and how little the losses differ', () => {
    const drawn = (largestDifference?: number) => {
      const { results, ...rest } = readAll('practices')!;
      const { accumulation } = results as { accumulation: object };
      const changed = largestDifference === undefined ? accumulation : { ...accumulation, largestDifference };
      return charts.practices!.accumulation!({ ...rest, results: { accumulation: changed } } as RunRecord, '');
    };
    expect(rows(drawn())).toEqual([['paso', '1', '2', '3'], ['8 × 1 y 4 × 2', '1,1000', '0,9000', '0,7000']]);
    expect(parse(drawn()).querySelector('figcaption')!.textContent).toBe('Mayor diferencia: ±1e-7.');
    expect(parse(drawn(0)).querySelector('figcaption')!.textContent).toBe('Ninguna diferencia.');
  });

  it('set off the least of each column, whichever format it is', () => {
    const best = [...parse(charts.quantization!.errors!(quantizationRecord(), '')).querySelectorAll('.mejor')];
    expect(best.map((cell) => `${cell.parentElement!.firstElementChild!.textContent} ${cell.textContent}`))
      .toEqual(['NF4 0,0727', 'NF4 0,0921', 'Int4 1,852']);
  });

  it('say in words which format came out best, whatever the papers say', () => {
    const said = (type: Record<string, number>) => {
      const { bf16, types } = quantizationRecord().results as { bf16: object; types: { nf4: object } };
      const results = { bf16, types: { ...types, nf4: { ...types.nf4, ...type } } } as RunRecord['results'];
      return parse(charts.quantization!.errors!(quantizationRecord({ results }), '')).querySelector('figcaption')!.textContent;
    };
    expect(said({})).toBe('Errores en desviaciones típicas; cuadrático: raíz de la media de los cuadrados. '
      + 'Menor error: NF4. Menor perplejidad: Int4; ninguna se aparta de la de bf16 más de un 3,8\u00a0%.');
    expect(said({ rmse: 1, perplexity: 1.84 })).toMatch(/ Menor error: Int4. Menor perplejidad: NF4;/);
    expect(said({ perplexity: 1.7 })).toContain('ninguna se aparta de la de bf16 más de un 7,4\u00a0%.'); // below it, too
  });

  it('keep a figure of their caption beside its unit', () => {
    expect(caption('Un 45 % más, en 2 de 3.')).toBe('<figcaption>Un 45\u00a0% más, en 2 de 3.</figcaption>');
  });

  it('escape what they are given, and shorten long answers', () => {
    expect(table([['<a>'], ['b & "c"', '1']], 'd"')).toBe('<table class="medida" aria-label="d&quot;"><thead><tr><th scope="col">&lt;a&gt;</th></tr></thead>'
      + '<tbody><tr><th scope="row">b &amp; &quot;c&quot;</th><td>1</td></tr></tbody></table>');
    const samples = [{ instruction: 'Di', input: '', expected: '', before: '', after: 'x'.repeat(60) }];
    expect(rows(charts.qlora!.samples!(record({ results: { samples } }), ''))[1]).toEqual(['Di', '(nada)', `${'x'.repeat(43)}…`]);
  });
});

describe('bars', () => {
  const widths = (html: string) => [...parse(html).querySelectorAll('rect')].map((rect) => Number(rect.getAttribute('width')));

  it('are as long as their values, from zero', () => {
    const bars = [4, 1].map((value) => ({ label: 'x', value, text: 'y', color: 'learns' as const }));
    const [, whole, , quarter] = widths(barsChart(bars, ''));
    expect([whole, quarter]).toEqual([540, 135]);
  });

  it('say peak and time, with and without recomputing', () => {
    const drawn = parse(charts.checkpointing!.peak!(checkpointingRecord(), ''));
    expect([...drawn.querySelectorAll('text')].map((one) => one.textContent))
      .toEqual(['sin recomputar', '120,0 MiB · 0,93 s/paso', 'recomputando', '30,0 MiB · 1,21 s/paso']);
  });
});

describe('the mixture', () => {
  const words = (html: string) => [...parse(html).querySelectorAll('text')].map((one) => one.textContent);

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

  const fills = (html: string, selector: string) =>
    new Map([...parse(html).querySelectorAll(selector)].map((one) => [one.textContent, one.getAttribute('fill')]));

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

describe('the loss', () => {
  it('draws a dot a step, and the held-out loss before and after', () => {
    const drawn = charts.qlora!.loss!(record(), '');
    expect(parse(drawn).querySelectorAll('circle')).toHaveLength(20);
    expect(drawn).toContain('examen, antes: 2,40');
    expect(drawn).toContain('examen, después: 0,24');
  });

  it('names each thing once, and by the last examination what came after, only when there has been one', () => {
    const named = (events: RunRecord['events']) =>
      [...parse(charts.qlora!.loss!(record({ events }), '')).querySelectorAll('text')]
        .filter((one) => /examen|entrenamiento/.test(one.textContent)).map((one) => one.textContent);
    const { events } = record();
    const [before] = events;
    const during = { ...before!, when: 'during', step: 10, loss: 1 } as RunRecord['events'][number];
    const [first, last] = ['examen, antes: 2,40', 'examen, después: 0,24'];
    expect(named([before!, during, ...events.slice(1)])).toEqual([first, last, 'pérdida de entrenamiento']);
    expect(named(events.slice(0, -1))).toEqual([first, 'pérdida de entrenamiento']);
  });

  it('writes the name of a curve that has only begun after it, and later before it', () => {
    const start = {
      type: 'start' as const, steps: 40, epochs: 1, examples: 40, batchSize: 1, accumulation: 1, effectiveBatch: 1, resumedAt: 0,
    };
    const steps = record().events.filter(({ type }) => type === 'step');
    const anchor = (...events: RunRecord['events']) => {
      const name = [...parse(charts.qlora!.loss!(record({ events }), '')).querySelectorAll('text')]
        .find((one) => one.textContent === 'pérdida de entrenamiento')!;
      return name.closest('[text-anchor]')!.getAttribute('text-anchor');
    };
    expect([anchor(start, ...steps.slice(0, 19)), anchor(start, ...steps)]).toEqual(['start', 'end']);
  });

  const dots = (events: RunRecord['events']) =>
    [...parse(charts.qlora!.loss!(record({ events }), '')).querySelectorAll('circle')].map((dot) => Number(dot.getAttribute('cx')));

  it('draws a run as far as it has come, over the width that it will have', () => {
    const start = {
      type: 'start' as const, steps: 40, epochs: 1, examples: 40, batchSize: 1, accumulation: 1, effectiveBatch: 1, resumedAt: 0,
    };
    const { events } = record();
    const half = dots([start, ...events.filter(({ type }) => type === 'step')]);
    expect(half).toHaveLength(20);
    expect(half.at(-1)! - half[0]!).toBeCloseTo((dots(events).at(-1)! - dots(events)[0]!) / 2, 0);
  });

  it('draws a run that has no steps, and asks for one that has no loss at all', () => {
    expect(charts.qlora!.loss!(record({ events: record().events.slice(0, 1) }), '')).toContain('<svg');
    expect(() => charts.qlora!.loss!(record({ events: [] }), 'La pérdida')).toThrow('no tiene pérdidas, que pide «La pérdida»');
  });
});

describe('the memory', () => {
  it('is one bar in parts, the last what is over, each with its bytes', () => {
    const bar = parse(charts.qlora!.memory!(record(), ''));
    const words = [...bar.querySelectorAll('text')].map(({ textContent }) => textContent);
    expect(words).toEqual(['base', '5,3 MiB', 'adaptador', '1,1 MiB', 'optimizador', '1,0 MiB', 'entradas de bloque', '1,8 MiB',
      'un bloque a la vez', '76,8 MiB']);
    const parts = [...bar.querySelectorAll('rect[height="26"]')].map((part) =>
      ['x', 'width'].map((name) => Number(part.getAttribute(name))) as [number, number]);
    expect(parts).toHaveLength(5);
    const before = (i: number) => parts.slice(0, i).reduce((sum, [, width]) => sum + width, 0);
    parts.forEach(([left], i) => expect(left).toBeCloseTo(before(i), 1));
    const [base, , , , block] = parts.map(([, width]) => width);
    expect(block! / base!).toBeCloseTo(76.8 / 5.3, 0);
    expect(() => charts.qlora!.memory!(record({ events: [] }), 'Memoria')).toThrow('no dice su memoria, que pide «Memoria»');
  });
});

describe('AdaLoRA and IA3', () => {
  const words = (html: string, selector: string) =>
    [...parse(html).querySelectorAll(selector)].map((one) => one.textContent);

  it('a cell a matrix, with the rank that it ends with; the least and the most are told', () => {
    const drawn = charts.adalora!.ranks!(adaloraRecord(), '');
    expect(words(drawn, 'text')).toEqual(['q', 'down', 'capa 1', 'capa 2', '1,4', '3,0', '0,2', '2,0']);
    expect(words(drawn, 'figcaption')).toEqual(['LoRA da 2 a cada matriz; AdaLoRA, de 0,2 (q de la capa 2) a 3,0 (down de la capa 1).']);
    expect(drawn).toContain('. Capa 1: q 1,4; down 3,0. Capa 2: q 0,2; down 2,0."');
  });

  it('of matrices that tie for the least or the most, says how many they are', () => {
    const results = { r: 2, ranks: [0.8, 3, 0.8, 3, 0.8].map((rank, layer) => ({ layer, module: 'q_proj', rank })) };
    expect(words(charts.adalora!.ranks!(adaloraRecord({ results }), ''), 'figcaption'))
      .toEqual(['LoRA da 2 a cada matriz; AdaLoRA, de 0,8 (en 3 matrices) a 3,0 (en 2 matrices).']);
  });

  it('a dot a seed, and the mean with its spread', () => {
    const drawn = charts.adalora!.losses!(adaloraRecord(), '');
    expect(parse(drawn).querySelectorAll('rect')).toHaveLength(9);
    expect(words(drawn, 'text').slice(0, 2)).toEqual(['AdaLoRA · 52\u202f308 parámetros', '0,253 ± 0,055']);
    expect(words(drawn, 'text').slice(-3)).toEqual(['0,200', 'pérdida de examen: menos es mejor', '0,410']);
  });

  const drawnOf = (adalora: number[], ia3: number[], lora: number[]) => {
    const way = (title: string, losses: number[]) =>
      ({ title, parameters: 1, losses: losses.map((loss, i) => ({ seed: i + 1, loss })) });
    const ways = [way('AdaLoRA', adalora), way('IA3', ia3), way('LoRA', lora)].filter(({ losses }) => losses.length > 0);
    return charts.adalora!.losses!(adaloraRecord({ results: { steps: 1, ways } }), '');
  };
  const verdict = (...losses: Parameters<typeof drawnOf>) => words(drawnOf(...losses), 'figcaption')[0];

  it('each dot where its loss lies from the least to the most, in the middle where all are the same', () => {
    const [dots, same] = [[[0.2], [], [0.4, 0.25]], [[0.2], [], [0.2, 0.2]]].map(([adalora, ia3, lora]) =>
      [...parse(drawnOf(adalora!, ia3!, lora!)).querySelectorAll('rect')].map((dot) => Number(dot.getAttribute('x')) + 5));
    expect(dots![2]! - dots![0]!).toBeCloseTo((dots![1]! - dots![0]!) / 4, 1);
    expect(dots![1]!).toBeGreaterThan(500);
    expect(same).toEqual([270, 270, 270]);
  });

  it('in words what came out, seed by seed, whatever the papers say', () => {
    expect(verdict([0.2, 0.31, 0.25], [0.33, 0.41, 0.37], [0.21, 0.3, 0.27])).toBe(
      'AdaLoRA no se distingue de LoRA (mejor en 2 de 3): aquí no se ve lo que mide el artículo. '
      + 'IA3 queda peor que LoRA (mejor en 0 de 3), con muchos menos parámetros.');
    // Twice the standard error of four seeds is the deviation: here less than half of the lead.
    expect(verdict([0.29, 0.28, 0.27, 0.28], [], [0.3, 0.3, 0.3, 0.3])).toBe('AdaLoRA queda mejor que LoRA (mejor en 4 de 4).');
    expect(verdict([0.3, 0.28], [], [0.3, 0.3])).toContain('AdaLoRA no se distingue de LoRA (mejor en 1 de 2)');
    expect(verdict([0.1, 0.2], [], [0.31, 0.4])).toBe('AdaLoRA queda mejor que LoRA (mejor en 2 de 2).');
    expect(verdict([0.31, 0.4], [], [0.1, 0.2])).toContain('AdaLoRA queda peor que LoRA (mejor en 0 de 2): aquí no');
  });

  it('of one seed, and of a run that has only begun, say nothing that is not known', () => {
    expect(verdict([0.1], [], [0.2])).toContain('no se distingue de LoRA (mejor en 1 de 1)');
    expect(words(drawnOf([0.1], [], [0.2]), 'text')[1]).toBe('0,100');
    expect(verdict([0.1], [], [])).toBe('');
  });
});

describe('drawings', () => {
  it('know NF4 as the code does', () => {
    expect(nf4Levels.map(Number)).toEqual([...CODEBOOKS.nf4].map((level) => Number(level.toFixed(4))));
  });

  it('escape their words', () => {
    expect(svg(1, 1, '"', text(0, 0, '<&'))).toContain('>&lt;&amp;</text>');
  });
});

describe('the sharding', () => {
  it('stacks what a rank holds, to one scale, and marks the formula where the bar ends', () => {
    const { document } = parseHTML(charts.sharding!.states!(shardingRecord(), ''));
    const bars = [...document.querySelectorAll('rect')].slice(3);
    const [left, ...ends] = [bars[0]!, ...[0, 1, 2, 3].map((row) => bars[3 * row + 2]!)].map((rect, i) =>
      Number(rect.getAttribute('x')) + (i === 0 ? 0 : Number(rect.getAttribute('width'))));
    const widths = ends.map((end) => end - left!);
    [1, 0.625, 0.4375, 0.25].forEach((share, i) => expect(widths[i]! / widths[0]!).toBeCloseTo(share, 2));
    const marks = [...document.querySelectorAll('line')].map((line) => Number(line.getAttribute('x1')));
    marks.slice(0, 4).forEach((mark, i) => expect(mark).toBeCloseTo(ends[i]!, 0));
    expect(document.documentElement.textContent).toContain('ZeRO-314,0 MiB3 Ψ');
    expect(ends[0]).toBeCloseTo(396, 0); // and their figures begin
    expect(document.querySelector('figcaption')!.textContent).toContain('la raya es la fórmula');
  });

  it('tells what a rank sends where it is of the parameters, and not of the activations too', () => {
    const { document } = parseHTML(charts.sharding!.states!(shardingRecord(), ''));
    const [heard, seen] = [document.querySelector('svg')!.getAttribute('aria-label'), document.documentElement.textContent];
    expect(heard).toContain('en total, 56,0 MiB; fórmula, 56,0 MiB; envía 2 Ψ. ZeRO-1: ');
    expect(heard).toMatch(/tubería × datos: [^.]*; fórmula, 36,0 MiB\.$/);
    expect(seen).toMatch(/tubería × datos36,0 MiB$/);
  });

  it('draws each stage’s passes when they were, and tells the bubble', () => {
    const { document } = parseHTML(charts.sharding!.timeline!(shardingRecord(), ''));
    expect(document.documentElement.textContent).toContain('GPipe: burbuja, 25 %; guarda 4 entradas');
    expect(document.documentElement.textContent).not.toMatch(/DDP|comunica/); // which has no stages, nor is in the legend
    const titles = [...document.querySelectorAll('text[font-size="20"]')].slice(0, 2).map((one) => Number(one.getAttribute('y')));
    expect(titles[1]! - titles[0]!).toBeGreaterThan(2 * 18); // the lanes of two ranks between them
    const [forward, backward] = [...document.querySelectorAll('rect')];
    expect(Number(backward!.getAttribute('x'))).toBeCloseTo(540 * 0.1 / 0.35, 1);
    expect(Number(backward!.getAttribute('width'))).toBeCloseTo(2 * Number(forward!.getAttribute('width')), 1);
  });

  it('numbers the passes of several micro-batches where there is room', () => {
    const spans = (micros: number, long: number) => [
      ...Array.from({ length: micros }, (_, micro) => ({ type: 'forward', micro, from: micro * long, to: (micro + 1) * long })),
      { type: 'backward', micro: 0, from: 0.8, to: 0.8 + long }, { type: 'update', micro: 0, from: 0.8, to: 1 },
    ];
    const written = (...ranks: ReturnType<typeof spans>[]) => {
      const timelines = { GPipe: { ranks, bubble: 0.25, kept: 4 } };
      const { results } = shardingRecord();
      const drawn = charts.sharding!.timeline!(shardingRecord({ results: { ...results, timelines } as RunRecord['results'] }), '');
      return [...parse(drawn).querySelectorAll('text[font-size="17"]')].map((one) => one.textContent);
    };
    expect(written(spans(3, 0.1))).toEqual(['1', '2', '3', '1']);
    expect(written(spans(1, 0.1), spans(2, 0.1))).toEqual(['1', '1', '1', '2', '1']);
    expect(written(spans(1, 0.1))).toEqual([]); // of one alone
    expect(written(spans(3, 0.02))).toEqual([]);
  });
});

describe('the ranks that have every layer', () => {
  it('have a lane each, with what they say to each other over what it is part of', () => {
    const { document } = parseHTML(charts.sharding!.ranks!(shardingRecord(), ''));
    expect(document.documentElement.textContent).toContain('DDP: comunica y espera, 11 % del paso');
    expect(document.documentElement.textContent).not.toContain('GPipe');
    const [forward, backward, update, collective] = [...document.querySelectorAll('rect')]
      .map((rect) => ['x', 'width', 'y'].map((name) => Number(rect.getAttribute(name))));
    expect(collective![0]).toBeCloseTo(update![0]!, 6);
    expect(collective![1]).toBeLessThan(update![1]!);
    expect(backward![1]! / forward![1]!).toBeCloseTo(2, 2);
    const tops = [...document.querySelectorAll('rect[fill="var(--learns)"]')].slice(0, 2).map((rect) => rect.getAttribute('y'));
    expect(new Set(tops).size).toBe(2);
  });
});

describe('the cost of a step', () => {
  it('is drawn against each thing that grows, to the same two scales from zero', () => {
    const { document } = parseHTML(charts.bench!.cost!(benchRecord(), ''));
    const curves = [...document.querySelectorAll('path')].map((path) => path.getAttribute('d'));
    expect(curves).toHaveLength(8);
    expect(curves.slice(0, 2)).toEqual(['M17.5 52L140 10', 'M17.5 59L140 10']); // memory, time: the most of both
    expect(curves.at(-1)).toBe('M848.75 52L980 52'); // a rank that costs no time: a fourth of the longest's
    const tick = [...document.querySelectorAll('text')].at(-3)!; // under where the curve begins, which is not 0
    expect([tick.textContent, tick.getAttribute('x'), tick.getAttribute('text-anchor')]).toEqual(['4', '848.75', 'middle']);
    expect(document.documentElement.textContent).toMatch(/8,00 s1,00 GiB64512tokens.*4,00 s512,0 MiB520capas/);
  });

  it('keeps the labels of two lines that end together apart, in the order of the lines, and in the drawing', () => {
    const { document } = parseHTML(charts.bench!.cost!(benchRecord(), ''));
    const heights = [...document.querySelectorAll('text')].filter((one) => / s$|iB$/.test(one.textContent))
      .map((one) => Number(one.getAttribute('y')));
    const pairs = [0, 2, 4, 6].map((i) => [heights[i]!, heights[i + 1]!] as const);
    for (const [time, memory] of pairs) {
      expect(Math.abs(time - memory)).toBeGreaterThanOrEqual(22);
      expect(Math.min(time, memory)).toBeGreaterThanOrEqual(16);
      expect(Math.max(time, memory)).toBeLessThan(86); // where the unit stands
    }
    expect(pairs.map(([time, memory]) => time < memory)).toEqual([true, true, true, false]); // r: twice the memory
    const [left, right] = pairs[3]!;
    expect([left, right]).toEqual([62, 40]); // they end at 52 and 38
  });
});

describe('the rest of slide 8', () => {
  it('draws the peak against layers to one scale, and tells the deepest model’s', () => {
    const { document } = parseHTML(charts.checkpointing!.layers!(checkpointingRecord(), ''));
    const whole = document.querySelector('path[stroke="var(--quiet)"]')!;
    expect(whole.getAttribute('d')).toBe('M52 81.5L190 14'); // four times as deep, four times as much
    expect(document.documentElement.textContent).toContain('guardándolo todo: 256,0 MiB · 0,50 s');
  });

  it('keeps apart what it writes beside lines that end together, in their order', () => {
    const cost = { peakBytes: 2 ** 24, secondsPerStep: 0.5 };
    const layers = [4, 8, 16].map((count) => ({ layers: count, plain: cost, blocks: cost, sqrt: cost }));
    const { results } = checkpointingRecord();
    const drawn = parse(charts.checkpointing!.layers!(checkpointingRecord({ results: { ...results, layers } }), ''));
    const labels = [...drawn.querySelectorAll('text')].filter((one) => one.textContent.includes(' s'))
      .map((one) => [one.textContent.split(':')[0], Number(one.getAttribute('y'))] as const).sort(([, a], [, b]) => a - b);
    expect(labels.map(([name]) => name)).toEqual(['guardándolo todo', 'cada √n capas', 'cada bloque']);
    const [first, second, third] = labels.map(([, y]) => y);
    expect([second! - first!, third! - second!].every((apart) => apart >= 25)).toBe(true);
    expect([...drawn.querySelectorAll('path')].map((curve) => curve.getAttribute('d')!.split('L').at(-1)!.split(' ')[0])).toEqual(['190', '190', '190']);
  });

  it('tells peak and time at each depth, by what is kept', () => {
    const rows = [...parseHTML(charts.checkpointing!.depths!(checkpointingRecord(), '')).document.querySelectorAll('tr')]
      .map((row) => row.textContent.replaceAll(/\s+/g, ' ').trim());
    expect(rows[0]).toMatch(/capas.*guardándolo todo.*cada √n capas.*cada bloque/);
    expect(rows.at(-1)).toMatch(/^16.*256,0 MiB · 0,50 s/);
  });

  it('shares out among four ranks what each stage of ZeRO does, so that they hold all of it between them', () => {
    const { document } = parseHTML(charts.checkpointing!.partition!(checkpointingRecord(), ''));
    expect(document.documentElement.textContent).toMatch(/DDP16 Ψ.*ZeRO-17 Ψ.*ZeRO-25,5 Ψ.*ZeRO-34 Ψ/);
    const states = [...document.querySelectorAll('rect[y="37"],rect[y="151"]')].filter((rect) => !rect.hasAttribute('fill-opacity'));
    const widths = states.map((rect) => Number(rect.getAttribute('width')));
    const [whole, shared] = [widths.slice(0, 12), widths.slice(12)].map((row) => row.reduce((a, b) => a + b, 0));
    expect(whole! / shared!).toBeCloseTo(4, 1);
    const first = states.slice(0, 3).map((rect) => ['x', 'width'].map((name) => Number(rect.getAttribute(name))));
    const before = (i: number) => first.slice(0, i).reduce((sum, [, width]) => sum + width!, 0);
    expect(before(3)).toBeCloseTo(82, 1); // as wide as its box
    first.forEach(([x], i) => expect(x).toBeCloseTo(90 + before(i), 1));
    expect(document.querySelector('figcaption')!.textContent).toContain('Bytes por rango de cuatro');
    const starts = states.slice(12).filter((_, i) => i % 3 === 2).map((rect) => Number(rect.getAttribute('x')));
    expect(new Set(starts.map((x, rank) => Math.round(x - rank * 94))).size).toBe(4); // each its own part of Adam's
    const place = (rect: Element) => ['x', 'width'].map((name) => Number(rect.getAttribute(name))) as [number, number];
    for (let rank = 0; rank < 4; rank++) {
      const left = 90 + rank * 94;
      expect(place(states[3 * rank]!)[0]).toBeCloseTo(left, 1); // shared by nobody: whole in each
      const [x, width] = place(states[12 + 3 * rank]!);
      expect(x).toBeCloseTo(left + rank * width, 1); // shared out: each its own part
    }
  });

  it('tells what rounding takes, and that the batch in parts has the same loss', () => {
    expect(rows(charts.checkpointing!.precision!(checkpointingRecord(), ''))[1]).toEqual(['bf16', '0,00 %', '0,165 %']);
    expect(rows(charts.checkpointing!.precision!(checkpointingRecord(), ''))[2])
      .toEqual(['fp16, pérdida × 65\u202f536', '0,00 %', '0,020 %']);
    expect(rows(charts.checkpointing!.accumulation!(checkpointingRecord(), ''))[1]).toEqual(['4 × 2', '32,0 MiB', '0,40', '0,893400']);
  });
});
