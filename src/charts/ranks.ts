import * as Plot from '@observablehq/plot';
import { z } from 'zod';
import { formatNumber, formatPercent } from '../format.ts';
import { palette } from './palette.ts';
import { drawPlot } from './plot.ts';
import { table } from './table.ts';
import { course, told } from './told.ts';

const scores = z.object({ loss: z.number(), exactMatch: z.number() });
const rank = scores.extend({ r: z.number() });
const variant = rank.extend({ method: z.string(), parameters: z.number() });

/** What there is of a run that goes on: full fine-tuning comes when it comes. */
export const ranksResults = z.object({
  ranks: z.array(variant).min(1),
  variants: z.array(variant),
  base: scores.optional(),
  full: scores.extend({ parameters: z.number() }).optional(),
  truncated: z.array(rank).optional(),
});
type Ranks = z.infer<typeof ranksResults>;

const rankAxis = {
  type: 'log', base: 2, label: 'rango r', labelAnchor: 'center', labelArrow: 'none',
  tickFormat: (r: number) => formatNumber(r),
} as const;

/** Held-out loss by rank: LoRA trained at that rank, and the full update cut to it; full fine-tuning as a line. */
export function ranksChart({ ranks, full, truncated = [] }: Ranks, alt: string): string {
  const most = Math.max(64, ...ranks.map(({ r }) => r));
  const cut = truncated.filter(({ r }) => r <= most);
  const label = (point: object, text: string, fill: string, more: object = {}) =>
    Plot.text([point], { x: 'r', y: 'loss', text: () => text, fill, textAnchor: 'end', ...more });
  const line = (name: string, points: readonly z.infer<typeof rank>[]) =>
    course(name, points, ({ loss }) => formatNumber(loss, 2, true), ({ r }) => `r = ${r}`);
  const figures = [line('LoRA', ranks), line('ΔW recortado', cut), full ? `Full fine-tuning: ${formatNumber(full.loss, 2, true)}` : ''];
  return drawPlot(told(alt, ...figures), {
    width: 560, height: 340, marginLeft: 54, marginBottom: 58, marginRight: 24, marginTop: 38,
    x: { ...rankAxis, domain: [1, most], ticks: ranks.map(({ r }) => r) },
    y: {
      label: 'pérdida de examen', labelArrow: 'none', tickFormat: (loss: number) => formatNumber(loss, 2), grid: true, zero: true, ticks: 5,
      nice: true, // the label of the highest point stands under that of the axis
    },
    marks: [
      ...(full ? [
        Plot.ruleY([full.loss], { stroke: palette.quiet, strokeWidth: 2, strokeDasharray: '6 5' }),
        label({ r: most, loss: full.loss }, `full fine-tuning: ${formatNumber(full.loss, 2, true)}`, palette.quiet, { dy: 16 }),
      ] : []),
      Plot.lineY(cut, { x: 'r', y: 'loss', stroke: palette.measured, strokeWidth: 3 }),
      Plot.dot(cut, { x: 'r', y: 'loss', fill: palette.measured, r: 5, symbol: 'diamond' }),
      Plot.lineY(ranks, { x: 'r', y: 'loss', stroke: palette.learns, strokeWidth: 3 }),
      Plot.dot(ranks, { x: 'r', y: 'loss', fill: palette.learns, r: 5 }),
      ...(cut.length > 0
        ? [label(cut[0]!, 'ΔW, el cambio del full, recortado a rango r', palette.measured, { textAnchor: 'start', dx: 34, dy: 1 })]
        : []),
      label(ranks.at(-1)!, 'LoRA de rango r', palette.learns, { dy: -16 }),
    ],
  });
}

const energies = z.array(z.object({ r: z.number(), update: z.number(), random: z.number() }));
export const spectrumResults = z.object({ energy: energies });

/** Share of the full update that its best approximation of rank r keeps, beside matrices without structure. */
export function spectrumChart({ energy }: z.infer<typeof spectrumResults>, alt: string): string {
  const line = (y: 'update' | 'random', stroke: string) => [
    Plot.lineY(energy, { x: 'r', y, stroke, strokeWidth: 3 }), Plot.dot(energy, { x: 'r', y, fill: stroke, r: 4 }),
  ];
  const at = (r: number) => energy.find((point) => point.r === r) ?? energy[0]!;
  const shown = at(16);
  const text = (y: 'update' | 'random', words: string, fill: string, more: object) => Plot.text([shown], {
    x: 'r', y, text: (point: typeof shown) => `${words}: ${formatPercent(point[y], 0)} con r = ${point.r}`, fill, ...more,
  });
  const shares = (name: string, y: 'update' | 'random') =>
    course(name, energy, (point) => formatPercent(point[y], 0), ({ r }) => `r = ${r}`);
  return drawPlot(told(alt, shares('ΔW', 'update'), shares('Al azar', 'random')), {
    width: 560, height: 318, marginLeft: 72, marginBottom: 58, marginRight: 24, marginTop: 38,
    x: { ...rankAxis, ticks: energy.map(({ r }) => r) },
    y: {
      label: 'parte de ‖ΔW‖²', labelArrow: 'none', domain: [0, 1], tickFormat: (share: number) => formatPercent(share, 0),
      grid: true, ticks: 5,
    },
    marks: [
      ...line('random', palette.quiet), ...line('update', palette.measured),
      text('update', 'ΔW', palette.measured, { textAnchor: 'end', dx: -12, dy: -10 }),
      text('random', 'al azar', palette.quiet, { textAnchor: 'start', dx: 4, dy: 22 }),
    ],
  });
}

export const latencyResults = z.object({
  difference: z.number(),
  latency: z.object({
    rounds: z.number(),
    milliseconds: z.object({ base: z.number(), merged: z.number(), unmerged: z.number() }),
    mergedOverBase: z.number(), unmergedOverBase: z.number(),
  }),
});

/** What an adapter costs beside the base, merged and not. */
export function latencyTable({ latency }: z.infer<typeof latencyResults>, alt: string): string {
  const { milliseconds, mergedOverBase, unmergedOverBase } = latency;
  const row = (name: string, time: number, over: number) =>
    [name, `${formatNumber(time, 1, true)} ms`, `× ${formatNumber(over, 2, true)}`];
  return table([
    ['una pregunta', 'mediana', 'sobre la base'],
    row('base', milliseconds.base, 1),
    row('LoRA fusionado', milliseconds.merged, mergedOverBase),
    row('LoRA sin fusionar', milliseconds.unmerged, unmergedOverBase),
  ], alt);
}

/** LoRA, rsLoRA and DoRA at one rank, and full fine-tuning. */
export function variantsTable({ ranks, variants, full, base }: Ranks, alt: string): string {
  const titles: Record<string, string> = { lora: 'LoRA', rslora: 'rsLoRA', dora: 'DoRA' };
  const r = variants[0]?.r ?? 16;
  const row = (name: string, parameters: string, { loss, exactMatch }: z.infer<typeof scores>) =>
    [name, parameters, formatNumber(loss, 3, true), formatPercent(exactMatch, 0)];
  return table([
    [`r = ${r}`, 'parámetros', 'pérdida', 'acierto'],
    ...(base ? [row('sin entrenar', '0', base)] : []),
    ...[...ranks.filter((one) => one.r === r), ...variants].map((one) =>
      row(titles[one.method] ?? one.method, formatNumber(one.parameters), one)),
    ...(full ? [row('full', formatNumber(full.parameters), full)] : []),
  ], alt);
}
