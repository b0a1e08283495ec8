import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { checkpointingRecord } from '../deck/record.ts';
import { parse, rows } from './drawing.ts';

describe('checkpointing', () => {
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

  it('tells what rounding takes, and that the batch in parts has the same loss', () => {
    expect(rows(charts.checkpointing!.precision!(checkpointingRecord(), ''))[1]).toEqual(['bf16', '0,00 %', '0,165 %']);
    expect(rows(charts.checkpointing!.precision!(checkpointingRecord(), ''))[2])
      .toEqual(['fp16, pérdida × 65\u202f536', '0,00 %', '0,020 %']);
    expect(rows(charts.checkpointing!.accumulation!(checkpointingRecord(), ''))[1]).toEqual(['4 × 2', '32,0 MiB', '0,40', '0,893400']);
  });
});
