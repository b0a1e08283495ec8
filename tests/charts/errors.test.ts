import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { quantizationRecord } from '../deck/record.ts';
import { parse } from './drawing.ts';

describe('tables of errors', () => {
  it('set off the least of each column, whichever format it is', () => {
    const best = [...parse(charts.quantization!.errors!(quantizationRecord(), '')).querySelectorAll('.mejor')];
    expect(best.map((cell) => `${cell.parentElement!.firstElementChild!.textContent} ${cell.textContent}`))
      .toEqual(['NF4 0,0727', 'NF4 0,0921', 'Int4 1,852']);
  });

  it('say in words which format came out best, whatever the papers say', () => {
    const said = (type: Record<string, number>) => {
      const { bf16, types } = quantizationRecord().results as { bf16: object; types: { nf4: object } };
      const results = { bf16, types: { ...types, nf4: { ...types.nf4, ...type } } } as RunRecord['results'];
      return parse(charts.quantization!.errors!(quantizationRecord({ results }), '')).querySelector('figcaption')!.textContent;
    };
    expect(said({})).toBe('Errores en desviaciones típicas; cuadrático: raíz de la media de los cuadrados. '
      + 'Menor error: NF4. Menor perplejidad: Int4; ninguna se aparta de la de bf16 más de un 3,8\u00a0%.');
    expect(said({ rmse: 1, perplexity: 1.84 })).toMatch(/ Menor error: Int4. Menor perplejidad: NF4;/);
    expect(said({ perplexity: 1.7 })).toContain('ninguna se aparta de la de bf16 más de un 7,4\u00a0%.'); // below it, too
  });
});
