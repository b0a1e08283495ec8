import { describe, expect, it } from 'vitest';
import { barsChart } from '../../src/charts/bars.ts';
import { parse } from './drawing.ts';

describe('bars', () => {
  const widths = (html: string) => [...parse(html).querySelectorAll('rect')].map((rect) => Number(rect.getAttribute('width')));

  it('are as long as their values, from zero', () => {
    const bars = [4, 1].map((value) => ({ label: 'x', value, text: 'y', color: 'learns' as const }));
    const [, whole, , quarter] = widths(barsChart(bars, ''));
    expect([whole, quarter]).toEqual([540, 135]);
  });
});
