import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { planChart } from '../../src/charts/plan.ts';
import { checkpointingRecord, record, shardingRecord } from '../deck/record.ts';

const GiB = 2 ** 30;
const parts = {
  weights: 4, gradients: 1, optimizer: 2, activations: 3, buffers: 1, fragmentation: 0.75, context: 0.25,
};
const bytes = (factor: number) =>
  Object.fromEntries(Object.entries(parts).map(([name, size]) => [name, factor * size * GiB])) as typeof parts;
const draw = (capacity: number) =>
  parseHTML(planChart([{ label: 'DDP', parts: bytes(2), pageable: 0 }, { label: 'FSDP', parts: bytes(1), pageable: 0 }], capacity, 'Dos planes')).document;
const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);

describe('the chart of plans', () => {
  it('stacks the parts of each to one scale, as wide as the fullest', () => {
    const widths = [...draw(10 * GiB).querySelectorAll('rect')].slice(6).map((rect) => Number(rect.getAttribute('width')));
    expect(widths).toHaveLength(12);
    expect(sum(widths.slice(0, 6))).toBeCloseTo(640, 0);
    expect(sum(widths.slice(6))).toBeCloseTo(320, 0);
    expect(widths[0]! / widths[3]!).toBeCloseTo(4 / 3, 2);
    // Each part begins where the one before ends.
    const lefts = [...draw(10 * GiB).querySelectorAll('rect')].slice(6).map((rect) => Number(rect.getAttribute('x')));
    lefts.slice(0, 6).forEach((left, i) => expect(left).toBeCloseTo(sum(widths.slice(0, i)), 1));
    expect(lefts[6]).toBe(0);
  });

  it('tells each plan’s parts and what they come to to who hears it', () => {
    expect(draw(16 * GiB).querySelector('svg')!.getAttribute('aria-label')).toMatch(
      /^Dos planes\. DDP: parámetros 8 GiB; .*; en total, 24 GiB de 16 GiB\. FSDP: .*; en total, 12 GiB de 16 GiB\.$/);
  });

  it('has its legend in one row where it is wide, and in as few as fit where it is not', () => {
    const rows = (width: number) => {
      const { document } = parseHTML(planChart([{ label: 'DDP', parts: bytes(1), pageable: 0 }], 16 * GiB, 'Un plan', width));
      return new Set([...document.querySelectorAll('rect')].slice(0, 6).map((rect) => rect.getAttribute('y'))).size;
    };
    expect([rows(1136), rows(640), rows(420)]).toEqual([1, 2, 3]);
    const { document } = parseHTML(planChart([{ label: 'DDP', parts: bytes(1), pageable: 0 }], 16 * GiB, 'Un plan', 420));
    const tops = [...document.querySelectorAll('text')].map((text) => Number(text.getAttribute('y')));
    expect(tops[6]! - tops[5]!).toBeGreaterThan(18); // the name of the bar, below them all
  });

  it('draws the card’s memory, and says which plan does not fit', () => {
    const drawn = draw(16 * GiB);
    expect(Number(drawn.querySelector('line')!.getAttribute('x1'))).toBeCloseTo(640 * 16 / 24, 1);
    const texts = [...drawn.querySelectorAll('text')].map(({ textContent }) => textContent);
    expect(texts).toContain('24 GiB de 16 GiB: no cabe');
    expect(texts).toContain('12 GiB de 16 GiB');
    expect(draw(24 * GiB).querySelector('svg')!.textContent).not.toContain('no cabe'); // to the byte
  });

  it('does not count against the card what may wait on the host', () => {
    const { document } = parseHTML(planChart([{ label: 'DDP', parts: bytes(1), pageable: 5 * GiB }], 8 * GiB, 'Un plan'));
    expect(document.querySelector('svg')!.textContent).toContain('12 GiB de 8 GiB');
    expect(document.querySelector('svg')!.textContent).not.toContain('no cabe');
  });

  it('paints what a step keeps, and calls it, as every other chart does', () => {
    const keys = (html: string) => [...parseHTML(html).document.querySelectorAll('rect[width="14"][height="14"]')]
      .map((square) => `${square.nextElementSibling!.textContent} ${square.getAttribute('fill')}`);
    const kept = keys(planChart([{ label: 'DDP', parts: bytes(1), pageable: 0 }], GiB, 'Un plan')).slice(0, 3);
    expect(kept).toEqual(['parámetros var(--quiet)', 'gradientes var(--learns)', 'optimizador var(--measured)']);
    expect(keys(charts.sharding!.states!(shardingRecord(), ''))).toEqual(kept);
    expect(keys(charts.checkpointing!.partition!(checkpointingRecord(), ''))).toEqual(kept);
    expect(keys(charts.qlora!.memory!(record(), ''))).toContain(kept[2]);
  });
});
