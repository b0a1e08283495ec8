import { z } from 'zod';
import { formatBytes, formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { line, rect, svg, text } from './svg.ts';
import { caption, table } from './table.ts';

const states = z.object({ weights: z.number(), gradients: z.number(), optimizer: z.number() });
const scheme = z.object({
  name: z.string(), ranks: z.number(), held: states, expectedHeld: z.number(),
  sent: z.number(), expectedSent: z.number(), psi: z.number(), lossDifference: z.number(),
});
const span = z.object({
  type: z.enum(['forward', 'backward', 'update']), micro: z.number(), from: z.number(), to: z.number(),
});
export const sharding = z.object({
  schemes: z.array(scheme),
  timelines: z.record(z.string(), z.object({ ranks: z.array(z.array(span)), bubble: z.number(), kept: z.number() })),
});
type Sharding = z.infer<typeof sharding>;

const parts = [
  { key: 'weights', name: 'parámetros', color: 'green' },
  { key: 'gradients', name: 'gradientes', color: 'learns' },
  { key: 'optimizer', name: 'optimizador', color: 'measured' },
] as const;
const shown = ['DDP', 'ZeRO-1', 'ZeRO-2', 'ZeRO-3', 'tensor × datos', 'tubería × datos'];

const total = (held: z.infer<typeof states>): number => held.weights + held.gradients + held.optimizer;

/** What a rank of four holds between steps: measured, as stacked bars; by the formula, as a mark that each ends at. */
export function statesChart({ schemes }: Sharding, alt: string): string {
  const rows = shown.flatMap((name) => schemes.find((one) => one.name === name) ?? []);
  const [width, left, right, top, row] = [540, 142, 396, 36, 35];
  const scale = (right - left) / Math.max(...rows.map(({ held }) => total(held)));
  return svg(width, top + row * rows.length, alt,
    ...parts.flatMap(({ name, color }, i) => [
      rect(i * 134, 5, 14, 14, { fill: palette[color] }),
      text(i * 134 + 20, 18, name, { 'text-anchor': 'start', 'font-size': 19 }),
    ]),
    text(width, 18, 'envía', { 'text-anchor': 'end', 'font-size': 19, 'fill': palette.quiet }),
    ...rows.flatMap(({ name, held, expectedHeld, psi }, i) => {
      const y = top + row * i;
      let x = left;
      return [
        text(0, y + 20, name, { 'text-anchor': 'start', 'font-size': 20 }),
        text(486, y + 20, formatBytes(total(held)), { 'text-anchor': 'end', 'font-size': 20 }),
        text(width, y + 20, name.includes('×') ? '' : `${formatNumber(psi, 1)} Ψ`, {
          'text-anchor': 'end', 'font-size': 20, 'fill': palette.quiet,
        }),
        ...parts.map(({ key, color }) => {
          const drawn = rect(x, y + 3, held[key] * scale, 22, { 'fill': palette[color], 'stroke': palette.ground, 'stroke-width': 1 });
          x += held[key] * scale;
          return drawn;
        }),
        line(left + expectedHeld * scale, y, left + expectedHeld * scale, y + 28, { 'stroke': palette.text, 'stroke-width': 3 }),
      ];
    })) + caption(meaning);
}

const meaning = 'Cuatro hilos, para verlo: el trabajo lo hacen los motores. Marca: la fórmula, en fp32, 16 B por parámetro.';

/** Every scheme's figures beside the formulas'. */
export function schemesTable({ schemes }: Sharding, alt: string): string {
  return table([
    ['reparto', 'rangos', 'estados', 'fórmula', 'envía', 'fórmula', 'pérdida'],
    ...schemes.map(({ name, ranks, held, expectedHeld, sent, expectedSent, lossDifference }) => [
      name, formatNumber(ranks), formatBytes(total(held)), formatBytes(expectedHeld),
      ranks === 1 ? '—' : formatBytes(sent), ranks === 1 ? '—' : formatBytes(expectedSent), difference(lossDifference),
    ]),
  ], alt);
}

/** «igual», «±2e-7» */
const difference = (relative: number): string =>
  (relative === 0 ? 'igual' : `±${relative.toExponential(0)}`);

/** What the stages of a pipeline did in one step, and when: gaps are the bubble. */
export function pipelineTimeline({ timelines }: Sharding, alt: string): string {
  const [width, lane, head] = [540, 34, 30];
  const entries = Object.entries(timelines);
  const end = Math.max(...entries.flatMap(([, { ranks }]) => ranks.flat().map(({ to }) => to)));
  const scale = width / end;
  let y = 0;
  const rows = entries.flatMap(([name, { ranks, bubble, kept }]) => {
    const start = y;
    y += head + lane * ranks.length + 12;
    return [
      text(0, start + 20, `${name}: burbuja, ${formatNumber(100 * bubble)} %; guarda ${kept} entradas`, {
        'text-anchor': 'start', 'font-size': 19,
      }),
      ...ranks.flatMap((spans, rank) => spans.flatMap(({ type, micro, from, to }) => {
        const [x, top, long] = [from * scale, start + head + lane * rank, Math.max((to - from) * scale, 1)];
        const fill = { forward: palette.learns, backward: palette.green, update: palette.measured }[type];
        const wide = type !== 'update' && long >= 16;
        return [
          rect(x, top, long, lane - 6, { fill, 'stroke': palette.ground, 'stroke-width': 1 }),
          ...(wide ? [text(x + long / 2, top + 20, String(micro + 1), { 'fill': palette.ground, 'font-size': 17 })] : []),
        ];
      })),
    ];
  });
  const legend = [['forward', palette.learns], ['backward', palette.green], ['AdamW', palette.measured]]
    .flatMap(([name, fill], i) => [
      rect(i * 150, y + 6, 14, 14, { fill: fill! }),
      text(i * 150 + 22, y + 20, name!, { 'text-anchor': 'start', 'font-size': 18 }),
    ]);
  return svg(width, y + 28, alt, ...rows, ...legend);
}
