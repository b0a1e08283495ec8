import { z } from 'zod';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import { palette } from './palette.ts';
import { line, path, svg, text } from './svg.ts';
import { table } from './table.ts';
import { course, told } from './told.ts';

const cost = z.object({ peakBytes: z.number(), secondsPerStep: z.number() });
export const depth = z.object({
  layers: z.array(z.object({ layers: z.number(), plain: cost, blocks: cost, sqrt: cost })),
});
export const precision = z.object({
  precision: z.array(z.object({
    format: z.enum(['bf16', 'fp16']), lossScale: z.number(), lost: z.number(), error: z.number(),
  })),
});
export const effectiveBatch = z.object({
  accumulation: z.array(cost.extend({ batchSize: z.number(), micros: z.number(), loss: z.number() })),
});

const ways = [
  { key: 'plain', name: 'guardándolo todo', color: palette.quiet },
  { key: 'sqrt', name: 'cada √n capas', color: palette.green },
  { key: 'blocks', name: 'cada bloque', color: palette.learns },
] as const;

/** The peak of a step against the number of layers, by what is kept; and the time of the deepest. */
export function depthChart({ layers }: z.infer<typeof depth>, alt: string): string {
  const [left, right, top, base, apart] = [6, 190, 14, 104, 25];
  const most = Math.max(...layers.map(({ plain }) => plain.peakBytes));
  const deepest = layers.at(-1)!;
  const x = (count: number) => left + (right - left) * count / deepest.layers;
  const y = (bytes: number) => base - (base - top) * bytes / most;
  let below = base - 3 + apart; // labels keep apart from one another and from the line, from the last one up
  const figures = ways.map(({ key, name }) => course(name, layers, (at) =>
    `${formatBytes(at[key].peakBytes, true)} y ${formatNumber(at[key].secondsPerStep, 2, true)} s`, ({ layers }) => `${layers} capas`));
  return svg(540, 130, told(alt, ...figures),
    line(left, base, right, base, { 'stroke': palette.line, 'stroke-width': 2 }),
    ...layers.map(({ layers: count }) => text(x(count), base + 22, String(count), { 'font-size': 20, 'fill': palette.quiet })),
    text(right + 18, base + 22, 'capas', { 'font-size': 20, 'fill': palette.quiet, 'text-anchor': 'start' }),
    ...[...ways].reverse().flatMap(({ key, name, color }) => {
      const { peakBytes, secondsPerStep } = deepest[key];
      below = Math.min(y(peakBytes) + 6, below - apart);
      return [
        path(layers.map((at) => [x(at.layers), y(at[key].peakBytes)] as const), { 'fill': 'none', 'stroke': color, 'stroke-width': 3 }),
        text(right + 18, below, `${name}: ${formatBytes(peakBytes, true)} · ${formatNumber(secondsPerStep, 2, true)} s`, {
          'fill': color, 'text-anchor': 'start', 'font-size': 20,
        }),
      ];
    }));
}

/** Peak and time of a step at each depth. */
export const depthTable = ({ layers }: z.infer<typeof depth>, alt: string): string => table([
  ['capas', ...ways.map(({ name }) => name)],
  ...layers.map((at) => [formatNumber(at.layers), ...ways.map(({ key }) =>
    `${formatBytes(at[key].peakBytes, true)} · ${formatNumber(at[key].secondsPerStep, 2, true)} s`)]),
], alt);

/** What rounding takes from gradients. */
export const precisionTable = ({ precision: rows }: z.infer<typeof precision>, alt: string): string => table([
  ['gradientes, redondeados', 'se quedan en 0', 'error relativo'],
  ...rows.map(({ format, lossScale, lost, error }) => [
    lossScale === 1 ? format : `${format}, pérdida × ${formatNumber(lossScale)}`, formatPercent(lost, 2, true), formatPercent(error, 3, true),
  ]),
], alt);

type Accumulation = z.infer<typeof effectiveBatch>;

/** One effective batch, in more and smaller micro-batches. */
export const effectiveBatchTable = ({ accumulation: rows }: Accumulation, alt: string): string => table([
  ['lote × acumulación', 'pico', 's/paso', 'pérdida'],
  ...rows.map(({ batchSize, micros, peakBytes, secondsPerStep, loss }) => [
    `${batchSize} × ${micros}`, formatBytes(peakBytes, true), formatNumber(secondsPerStep, 2, true), formatNumber(loss, 6, true),
  ]),
], alt);
