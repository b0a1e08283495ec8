import { describe, expect, it } from 'vitest';
import { diagrams } from '../../src/charts/diagrams.ts';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { checkpointingRecord, mixtureRecord, readAll, record, shardingRecord } from '../deck/record.ts';
import { parse, rows, words } from './drawing.ts';

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
});

describe('bars of a step', () => {
  it('say peak and time, with and without recomputing', () => {
    const drawn = parse(charts.checkpointing!.peak!(checkpointingRecord(), ''));
    expect([...drawn.querySelectorAll('text')].map((one) => one.textContent))
      .toEqual(['sin recomputar', '120,0 MiB · 0,93 s/paso', 'recomputando', '30,0 MiB · 1,21 s/paso']);
  });
});
