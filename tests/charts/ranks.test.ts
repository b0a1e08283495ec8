import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { readAll } from '../deck/record.ts';
import { rows, words } from './drawing.ts';

describe('charts of ranks', () => {
  it('draw the cut update as far as the ranks go that were trained', () => {
    const read = readAll('lora')!;
    const drawn = charts.lora!.ranks!(read, 'El rango');
    expect(drawn).toContain('. ΔW recortado: 0,80 (r = 1); 0,79 (r = 4); 0,77 (r = 16); 0,67 (r = 64). Full fine-tuning: 0,15.');
    expect(words(drawn)).toContain('recortado a rango r');
    const { truncated: _, ...begun } = read.results;
    expect(words(charts.lora!.ranks!({ ...read, results: begun as RunRecord['results'] }, ''))).not.toContain('recortado');
  });

  it('end their scale of losses above the highest, where a label stands', () => {
    const { results, ...rest } = readAll('lora')!;
    const truncated = [{ r: 1, loss: 0.38, exactMatch: 0 }];
    const ranks = (results.ranks as object[]).map((one) => ({ ...one, loss: 0.3 }));
    const drawn = charts.lora!.ranks!({ ...rest, results: { ranks, variants: [], truncated } } as RunRecord, '');
    expect(words(drawn)).toMatch(/00,10,20,30,4/);
  });

  it('draw a run of which little is known yet', () => {
    const { results, ...rest } = readAll('lora')!;
    const { ranks, variants } = results;
    expect(charts.lora!.ranks!({ ...rest, results: { ranks: ranks!, variants: variants! } }, '')).not.toMatch(/NaN|undefined/);
  });

  it('put LoRA of the same rank beside its variants, between the base and full fine-tuning, where they are known', () => {
    const read = readAll('lora')!;
    expect(rows(charts.lora!.variants!(read, ''))).toEqual([
      ['r = 16', 'parámetros', 'pérdida', 'acierto'], ['sin entrenar', '0', '1,050', '1 %'],
      ['LoRA', '278\u202f528', '0,224', '40 %'], ['rsLoRA', '278\u202f528', '0,200', '45 %'], ['DoRA', '278\u202f528', '0,200', '45 %'],
      ['full', '3\u202f672\u202f320', '0,150', '70 %'],
    ]);
    const { base: _, full: __, ...begun } = read.results as Record<string, object[]>;
    const variants = [{ method: 'otra', r: 4, parameters: 1, loss: 1, exactMatch: 0 }];
    const record = { ...read, results: { ...begun, variants } } as unknown as RunRecord;
    expect(rows(charts.lora!.variants!(record, '')).map(([name]) => name)).toEqual(['r = 4', 'LoRA', 'otra']);
  });
});
