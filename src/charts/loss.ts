import * as Plot from '@observablehq/plot';
import { formatNumber } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { palette } from './palette.ts';
import { drawPlot } from './plot.ts';

/** Training loss by step: each step a dot, and the mean of nine steps as a line; the held-out loss before and after. */
export function lossChart({ events }: RunRecord, alt: string): string {
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []));
  const held = events.flatMap((event) => (event.type === 'evaluation' ? [event] : []));
  const comma = (value: number) => formatNumber(value, 2);
  return drawPlot(alt, {
    width: 560, height: 300, marginLeft: 46, marginBottom: 44, marginRight: 90, marginTop: 26,
    x: { label: 'paso', tickFormat: (n: number) => formatNumber(n), ticks: 5 },
    y: { label: 'pérdida', tickFormat: comma, grid: true, zero: true, ticks: 5 },
    marks: [
      Plot.dot(steps, { x: 'step', y: 'loss', r: 2, fill: palette.quiet, fillOpacity: 0.6 }),
      Plot.lineY(steps, Plot.windowY({ k: 9 }, { x: 'step', y: 'loss', stroke: palette.sky, strokeWidth: 3 })),
      Plot.dot(held, { x: 'step', y: 'loss', r: 7, fill: palette.orange, symbol: 'diamond' }),
      Plot.text(held, {
        x: 'step', y: 'loss', text: (event: typeof held[number]) => `examen: ${comma(event.loss)}`, fill: palette.orange,
        dx: 12, dy: -14, textAnchor: 'start',
      }),
      Plot.text(steps.slice(-1), { x: 'step', y: 'loss', text: () => 'entreno', fill: palette.sky, dx: 12, dy: 10, textAnchor: 'start' }),
    ],
  });
}
