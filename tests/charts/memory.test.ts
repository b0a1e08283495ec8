import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { record } from '../deck/record.ts';
import { parse } from './drawing.ts';

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
