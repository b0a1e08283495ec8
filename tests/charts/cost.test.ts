import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { benchRecord } from '../deck/record.ts';

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
