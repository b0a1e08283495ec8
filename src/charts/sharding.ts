import { z } from 'zod';
import { formatBytes, formatDifference, formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { states } from './states.ts';
import { key, line, rect, svg, text } from './svg.ts';
import { caption, table } from './table.ts';

const heldStates = z.object({ weights: z.number(), gradients: z.number(), optimizer: z.number() });
const scheme = z.object({
  name: z.string(), ranks: z.number(), held: heldStates, expectedHeld: z.number(),
  sent: z.number(), expectedSent: z.number(), psi: z.number(), lossDifference: z.number(),
});
const span = z.object({
  type: z.enum(['forward', 'backward', 'update', 'communicate']), micro: z.number(), from: z.number(), to: z.number(),
});
export const sharding = z.object({
  schemes: z.array(scheme),
  timelines: z.record(z.string(), z.object({
    ranks: z.array(z.array(span)), bubble: z.number(), kept: z.number(), communicates: z.number().optional(),
  })),
});
type Sharding = z.infer<typeof sharding>;
type Span = z.infer<typeof span>;

const shown = ['DDP', 'ZeRO-1', 'ZeRO-2', 'ZeRO-3', 'tensor × datos', 'tubería × datos'];

const total = (held: z.infer<typeof heldStates>): number => held.weights + held.gradients + held.optimizer;

/** What a rank of four holds between steps: measured, as stacked bars; by the formula, as a mark that each ends at. */
export function statesChart({ schemes }: Sharding, alt: string): string {
  const rows = shown.flatMap((name) => schemes.find((one) => one.name === name) ?? []);
  const [width, left, right, top, row] = [540, 142, 396, 36, 35];
  const scale = (right - left) / Math.max(...rows.map(({ held }) => total(held)));
  return svg(width, top + row * rows.length, alt,
    ...states.map(({ name, color }, i) => key(i * 136, 5, name, palette[color], 20)),
    text(width, 18, 'envía', { 'text-anchor': 'end', 'font-size': 20, 'fill': palette.quiet }),
    ...rows.flatMap(({ name, held, expectedHeld, psi }, i) => {
      const y = top + row * i;
      let x = left;
      return [
        text(0, y + 20, name, { 'text-anchor': 'start', 'font-size': 20 }),
        text(486, y + 20, formatBytes(total(held), true), { 'text-anchor': 'end', 'font-size': 20 }),
        text(width, y + 20, name.includes('×') ? '' : `${formatNumber(psi, 1)} Ψ`, {
          'text-anchor': 'end', 'font-size': 20, 'fill': palette.quiet,
        }),
        ...states.map(({ key, color }) => {
          const drawn = rect(x, y + 3, held[key] * scale, 22, { 'fill': palette[color], 'stroke': palette.ground, 'stroke-width': 1 });
          x += held[key] * scale;
          return drawn;
        }),
        line(left + expectedHeld * scale, y, left + expectedHeld * scale, y + 28, { 'stroke': palette.text, 'stroke-width': 3 }),
      ];
    })) + caption(meaning);
}

const meaning = 'Medido en cuatro hilos que hacen de GPU; la raya es la fórmula: 16 bytes por parámetro (fp32). Ψ: parámetros.';

/** Every scheme's figures beside the formulas'. */
export function schemesTable({ schemes }: Sharding, alt: string): string {
  return table([
    ['reparto', 'rangos', 'estados', 'fórmula', 'envía', 'fórmula', 'pérdida'],
    ...schemes.map(({ name, ranks, held, expectedHeld, sent, expectedSent, lossDifference }) => [
      name, formatNumber(ranks), formatBytes(total(held), true), formatBytes(expectedHeld, true),
      ranks === 1 ? '—' : formatBytes(sent, true), ranks === 1 ? '—' : formatBytes(expectedSent, true), formatDifference(lossDifference),
    ]),
  ], alt);
}

/** What the stages of a pipeline did in one step, and when: gaps are the bubble. */
export const pipelineTimeline = ({ timelines }: Sharding, alt: string): string => lanes(
  Object.entries(timelines).filter(([, { kept }]) => kept > 0).map(([name, { ranks, bubble, kept }]) =>
    [`${name}: burbuja, ${formatNumber(100 * bubble)} %; guarda ${kept} entradas`, ranks] as const), alt);

/** The same of ranks that all have every layer, whole or a part of it: here they wait for each other in collectives. */
export const ranksTimeline = ({ timelines }: Sharding, alt: string): string => lanes(
  Object.entries(timelines).filter(([, { kept }]) => kept === 0).map(([name, { ranks, communicates = 0 }]) =>
    [`${name}: comunica y espera, ${formatNumber(100 * communicates)} % del paso`, ranks] as const), alt);

const kinds = {
  forward: { name: 'forward', color: palette.learns }, backward: { name: 'backward', color: palette.green },
  update: { name: 'AdamW', color: palette.measured }, communicate: { name: 'comunica', color: palette.pink },
} as const;

type Lanes = readonly [title: string, ranks: readonly (readonly Span[])[]];

/** A lane for each rank, under the name of its scheme, all to one scale of time. */
function lanes(entries: readonly Lanes[], alt: string): string {
  const [width, head] = [540, 28];
  const spans = entries.flatMap(([, ranks]) => ranks.flat());
  const scale = width / Math.max(...spans.map(({ to }) => to));
  let y = 0;
  const rows = entries.flatMap(([title, ranks]) => {
    const start = y;
    const isNumbered = ranks.some((spans) => spans.some(({ micro }) => micro > 0));
    const lane = isNumbered ? 34 : 18; // as high as what is written in it
    y += head + lane * ranks.length + 8;
    return [
      text(0, start + 20, title, { 'text-anchor': 'start', 'font-size': 20 }),
      ...ranks.flatMap((spans, rank) => spans.toSorted(byDepth).flatMap(({ type, micro, from, to }) => {
        const [x, top, long] = [from * scale, start + head + lane * rank, Math.max((to - from) * scale, 1)];
        const isPass = isNumbered && (type === 'forward' || type === 'backward');
        return [
          rect(x, top, long, lane - (isNumbered ? 6 : 3), {
            fill: kinds[type].color, ...(type !== 'communicate' && { 'stroke': palette.ground, 'stroke-width': 1 }),
          }),
          ...(isPass && long >= 16
            ? [text(x + long / 2, top + 20, String(micro + 1), { 'fill': palette.ground, 'font-size': 17 })] : []),
        ];
      })),
    ];
  });
  const used = Object.entries(kinds).filter(([type]) => spans.some((span) => span.type === type));
  const legend = used.map(([, { name, color }], i) => key(i * 130, y + 6, name, color, 20));
  return svg(width, y + 26, alt, ...rows, ...legend);
}

/** Collectives are drawn over what they are a part of. */
const byDepth = (a: Span, b: Span): number => Number(a.type === 'communicate') - Number(b.type === 'communicate');
