import { z } from 'zod';
import { formatNumber, formatPercent } from '../format.ts';
import { caption, table } from './table.ts';
import type { Cell } from './table.ts';

const format = z.object({ mae: z.number(), rmse: z.number(), perplexity: z.number() });
export const quantization = z.object({
  bf16: z.object({ perplexity: z.number() }),
  types: z.object({ nf4: format, fp4: format, int4: format }),
});
type Quantization = z.infer<typeof quantization>;

const names = ['nf4', 'fp4', 'int4'] as const;
const titles = { nf4: 'NF4', fp4: 'FP4', int4: 'Int4' };

/**
 * What each 4-bit format costs: error of the weights and perplexity of the model. The least of a column stands out and
 * is told in words, whichever format it is: the table says what was measured, not what a paper found.
 */
export function errorsTable({ bf16, types }: Quantization, alt: string): string {
  const least = (figure: keyof z.infer<typeof format>) =>
    names.reduce((best, name) => (types[name][figure] < types[best][figure] ? name : best));
  const cell = (name: typeof names[number], figure: keyof z.infer<typeof format>, decimals: number): Cell =>
    ({ text: formatNumber(types[name][figure], decimals, true), best: name === least(figure) });
  const furthest = Math.max(...names.map((name) => Math.abs(types[name].perplexity / bf16.perplexity - 1)));
  const words = 'Errores en desviaciones típicas; cuadrático: raíz de la media de los cuadrados. '
    + `Menor error: ${titles[least('rmse')]}. Menor perplejidad: ${titles[least('perplexity')]}; `
    + `ninguna se aparta de la de bf16 más de un ${formatPercent(Math.ceil(furthest * 1000) / 1000)}.`;
  return table([
    ['formato', 'error medio', 'error cuadrático', 'perplejidad'],
    ['bf16', '—', '—', formatNumber(bf16.perplexity, 3, true)],
    ...names.map((name) => [titles[name], cell(name, 'mae', 4), cell(name, 'rmse', 4), cell(name, 'perplexity', 3)]),
  ], alt) + caption(words);
}
