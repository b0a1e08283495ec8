import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { checkpointingRecord } from '../deck/record.ts';

describe('the partition', () => {
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
});
