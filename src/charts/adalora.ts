import { z } from 'zod';
import { formatNumber } from '../format.ts';
import { mean as meanOf } from '../statistics.ts';
import { palette } from './palette.ts';
import { line, rect, svg, text } from './svg.ts';
import { caption } from './table.ts';
import { told } from './told.ts';

export const rankResults = z.object({
  r: z.number(),
  ranks: z.array(z.object({ layer: z.number(), module: z.string(), rank: z.number() })).min(1),
});

/** The rank that each layer ends with, layer by module: the darker, the more of the budget. */
export function ranksMap({ r, ranks }: z.infer<typeof rankResults>, alt: string): string {
  const modules = [...new Set(ranks.map(({ module }) => module))];
  const layers = [...new Set(ranks.map(({ layer }) => layer))];
  const most = Math.max(...ranks.map(({ rank }) => rank));
  const [left, top, width, height] = [72, 30, 378 / modules.length, 37];
  const least = Math.min(...ranks.map(({ rank }) => rank));
  const where = (rank: number) => {
    const tied = ranks.filter((one) => figureOf(one.rank) === figureOf(rank));
    return `${figureOf(rank)} (${tied.length > 1 ? `en ${tied.length} matrices` : nameOf(tied[0]!)})`;
  };
  const words = `LoRA da ${formatNumber(r)} a cada matriz; AdaLoRA, de ${where(least)} a ${where(most)}.`;
  const figures = layers.map((layer) => `Capa ${layer + 1}: `
    + ranks.filter((one) => one.layer === layer).map(({ module, rank }) => `${module.replace('_proj', '')} ${figureOf(rank)}`).join('; '));
  return svg(left + modules.length * width, top + layers.length * height + 4, told(alt, ...figures),
    ...modules.map((module, i) => text(left + (i + 0.5) * width - 3, 20, module.replace('_proj', ''),
      { 'font-size': 20, 'fill': palette.quiet })),
    ...layers.map((layer, i) => text(left - 10, top + i * height + 22, `capa ${layer + 1}`,
      { 'text-anchor': 'end', 'font-size': 20, 'fill': palette.quiet })),
    ...ranks.flatMap(({ layer, module, rank }) => {
      const [x, y] = [left + modules.indexOf(module) * width, top + layers.indexOf(layer) * height];
      return [
        // A bar and not only a shade: it is read without telling colours apart.
        line(x, y + height - 6, x + width - 6, y + height - 6, { stroke: palette.line }),
        rect(x, y + height - 10, (width - 6) * rank / most, 5, { fill: palette.learns }),
        text(x + width / 2 - 3, y + 21, figureOf(rank), { 'font-size': 20 }),
      ];
    }),
  ) + caption(words);
}

const figureOf = (rank: number): string => formatNumber(rank, 1, true);

const nameOf = ({ layer, module }: { layer: number; module: string }): string =>
  `${module.replace('_proj', '')} de la capa ${layer + 1}`;

const way = z.object({
  title: z.string(), parameters: z.number(), losses: z.array(z.object({ seed: z.number(), loss: z.number() })).min(1),
});
export const lossResults = z.object({ steps: z.number(), ways: z.array(way).min(1) });

/** Held-out loss from each seed, a dot each, and a line at the mean; and in words what it says of each claim. */
export function lossesChart({ ways }: z.infer<typeof lossResults>, alt: string): string {
  const [width, row] = [540, 50];
  const all = ways.flatMap(({ losses }) => losses.map(({ loss }) => loss));
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const x = (loss: number) => 8 + (width - 16) * (most > least ? (loss - least) / (most - least) : 0.5);
  const below = row * ways.length + 14;
  const axis = { 'font-size': 20, 'fill': palette.quiet };
  const rows = ways.map(({ title, parameters, losses }) => {
    const { mean, deviation } = summary(losses.map(({ loss }) => loss));
    const written = figure(mean, deviation, losses.length);
    return { title, parameters: `${formatNumber(parameters)} parámetros`, losses, mean, written };
  });
  const figures = rows.map((one) => `${one.title}, ${one.parameters}: ${one.written}`);
  return svg(width, below + 6, told(alt, ...figures), ...rows.flatMap((one, i) => {
    const { title, parameters, losses, mean, written } = one;
    const y = row * i + 38;
    return [
      text(0, y - 20, `${title} · ${parameters}`, { 'text-anchor': 'start', 'font-size': 21 }),
      text(width, y - 20, written, { 'text-anchor': 'end', 'font-size': 21 }),
      line(0, y, width, y, { 'stroke': palette.line, 'stroke-width': 2 }),
      ...losses.map(({ loss }) => rect(x(loss) - 5, y - 5, 10, 10, { 'fill': palette.measured, 'rx': 5, 'fill-opacity': 0.75 })),
      line(x(mean), y - 9, x(mean), y + 9, { 'stroke': palette.text, 'stroke-width': 3 }),
    ];
  }),
  text(0, below, formatNumber(least, 3, true), { ...axis, 'text-anchor': 'start' }),
  text(width / 2, below, 'pérdida de examen: menos es mejor', axis),
  text(width, below, formatNumber(most, 3, true), { ...axis, 'text-anchor': 'end' })) + caption(verdict(ways));
}

type Ways = z.infer<typeof lossResults>['ways'];

/** Seed by seed, as the same examples came in the same order: a lead within twice its standard error is none. */
function verdict(ways: Ways): string {
  const of = (title: string) => ways.find((way) => way.title === title)?.losses ?? [];
  const lead = (title: string) => {
    const differences = of('LoRA').flatMap(({ seed, loss }) => {
      const other = of(title).find((one) => one.seed === seed);
      return other ? [other.loss - loss] : [];
    });
    return { ...summary(differences), wins: differences.filter((d) => d < 0).length, count: differences.length };
  };
  const said = (title: string, claim: string) => {
    const { mean, deviation, wins, count } = lead(title);
    if (count === 0) return [];
    const clear = count > 1 && Math.abs(mean) > 2 * deviation / Math.sqrt(count);
    const outcome = !clear ? 'no se distingue de LoRA' : mean < 0 ? 'queda mejor que LoRA' : 'queda peor que LoRA';
    return [`${title} ${outcome} (mejor en ${wins} de ${count})${clear && mean < 0 ? '' : claim}`];
  };
  return [
    ...said('AdaLoRA', ': aquí no se ve lo que mide el artículo'),
    ...said('IA3', ', con muchos menos parámetros'),
  ].map((sentence) => `${sentence}.`).join(' ');
}

function summary(values: readonly number[]): { mean: number; deviation: number } {
  const mean = meanOf(values);
  const square = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: values.length > 1 ? Math.sqrt(square / (values.length - 1)) : 0 };
}

const figure = (mean: number, deviation: number, count: number): string =>
  formatNumber(mean, 3, true) + (count > 1 ? ` ± ${formatNumber(deviation, 3, true)}` : '');
