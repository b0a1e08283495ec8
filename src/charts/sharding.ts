import { z } from 'zod';
import { formatBytes, formatDifference, formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { states } from './states.ts';
import { key, keyName, line, rect, svg, text } from './svg.ts';
import { caption, table } from './table.ts';
import { told } from './told.ts';

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
  const sends = (name: string, psi: number) => (name.includes('×') ? '' : `${formatNumber(psi, 1)} Ψ`);
  const figures = rows.map(({ name, held, expectedHeld, psi }) => [
    `${name}: ${states.map((one) => `${one.name} ${formatBytes(held[one.key], true)}`).join('; ')}`,
    `en total, ${formatBytes(total(held), true)}`, `fórmula, ${formatBytes(expectedHeld, true)}`,
    ...sends(name, psi) ? [`envía ${sends(name, psi)}`] : [],
  ].join('; '));
  return svg(width, top + row * rows.length, told(alt, ...figures),
    ...states.map(({ name, color }, i) => key(i * 136, 5, name, palette[color], 20)),
    text(width, 18, 'envía', { 'text-anchor': 'end', 'font-size': 20, 'fill': palette.quiet }),
    ...rows.flatMap(({ name, held, expectedHeld, psi }, i) => {
      const y = top + row * i;
      let x = left;
      return [
        text(0, y + 20, name, { 'text-anchor': 'start', 'font-size': 20 }),
        text(486, y + 20, formatBytes(total(held), true), { 'text-anchor': 'end', 'font-size': 20 }),
        text(width, y + 20, sends(name, psi), {
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

/** Told apart by their shape too: one is hollow, one low, and what ranks say to each other runs under the others. */
const kinds = {
  forward: { name: 'forward', color: palette.learns, top: 0, high: 1, hollow: false },
  backward: { name: 'backward', color: palette.green, top: 0, high: 1, hollow: true },
  update: { name: 'AdamW', color: palette.measured, top: 0.3, high: 0.4, hollow: false },
  communicate: { name: 'comunica', color: palette.pink, top: 1, high: 0.3, hollow: false },
} as const;

/** What a rank does for so long, on a band so high. */
function work(type: Span['type'], x: number, y: number, long: number, band: number): string {
  const { color, top, high, hollow } = kinds[type];
  const edge = hollow ? color : palette.ground; // those that follow one another stay apart
  return rect(x, y + band * top, long, band * high, {
    fill: color, ...(hollow && { 'fill-opacity': 0.25 }), ...(type !== 'communicate' && { 'stroke': edge, 'stroke-width': 1 }),
  });
}

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
    const band = 0.7 * lane;
    y += head + lane * ranks.length + 8;
    return [
      text(0, start + 20, title, { 'text-anchor': 'start', 'font-size': 20 }),
      ...ranks.flatMap((spans, rank) => spans.flatMap(({ type, micro, from, to }) => {
        const [x, top, long] = [from * scale, start + head + lane * rank, Math.max((to - from) * scale, 1)];
        const isPass = isNumbered && (type === 'forward' || type === 'backward');
        return [
          work(type, x, top, long, band),
          ...(isPass && long >= 16 ? [text(x + long / 2, top + 18, String(micro + 1), {
            'fill': kinds[type].hollow ? palette.text : palette.ground, 'font-size': 17,
          })] : []),
        ];
      })),
    ];
  });
  const used = (Object.keys(kinds) as Span['type'][]).filter((type) => spans.some((one) => one.type === type));
  const legend = used.flatMap((type, i) =>
    [work(type, i * 130, y + 6, 14, 12), keyName(i * 130, y + 6, kinds[type].name, 20)]);
  return svg(width, y + 26, told(alt, ...entries.map(([title]) => title)), ...rows, ...legend);
}
