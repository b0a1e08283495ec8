import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { record } from '../deck/record.ts';
import { parse } from './drawing.ts';

describe('the loss', () => {
  const dots = (events: RunRecord['events']) =>
    [...parse(charts.qlora!.loss!(record({ events }), '')).querySelectorAll('circle')].map((dot) => Number(dot.getAttribute('cx')));

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
