import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { palette } from '../../src/charts/palette.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { readAll } from '../deck/record.ts';
import { parse, rows, words } from './drawing.ts';

describe('charts of practices', () => {
  it('set off the least loss of a sweep, and of the modules', () => {
    const cells = [...parse(charts.practices!.sweep!(readAll('practices')!, '')).querySelectorAll('text[font-weight]')];
    expect(new Set(cells.map((cell) => cell.textContent))).toEqual(new Set(['0,420']));
    const best = parse(charts.practices!.modules!(readAll('practices')!, '')).querySelector('.mejor')!;
    expect(best.parentElement!.firstElementChild!.textContent).toBe('todas las lineales');
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
});
