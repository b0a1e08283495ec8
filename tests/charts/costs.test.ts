import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import type { RunRecord } from '../../src/runs/schema.ts';
import { peftRecord } from '../deck/record.ts';
import { rows } from './drawing.ts';

describe('tables of costs', () => {
  it('tell what each way of fine-tuning costs: measured, the highest peak first; calculated, in their order', () => {
    const { results, ...rest } = peftRecord();
    const measured = [...results.measured as object[]].reverse();
    const turned = { ...rest, results: { ...results, measured } } as RunRecord;
    expect(rows(charts.peft!.measured!(turned, '')).map(([name, parameters, , , , match]) => [name, parameters, match])).toEqual([
      ['aquí', 'parámetros', 'acierto'], ['full fine-tuning', '3\u202f672\u202f320', '80 %'], ['LoRA', '278\u202f528', '70 %'],
    ]);
    expect(rows(charts.peft!.planned!(peftRecord(), '')).slice(1, 3).map(([name, parameters]) => [name, parameters]))
      .toEqual([['full fine-tuning', '6738,4 M'], ['LoRA', '40,0 M']]);
  });
});
