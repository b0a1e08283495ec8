import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { shardingRecord } from '../deck/record.ts';
import { parse, rows } from './drawing.ts';

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

describe('tables of schemes', () => {
  it('put every scheme’s figures beside the formula’s', () => {
    const told = rows(charts.sharding!.schemes!(shardingRecord(), ''));
    expect(told[1]).toEqual(['un rango', '1', '56,0 MiB', '56,0 MiB', '—', '—', 'igual']);
    expect(told[5]).toEqual(['ZeRO-3', '4', '14,0 MiB', '14,0 MiB', '21,0 MiB', '21,0 MiB', '±1e-7']);
  });
});
