import * as Plot from '@observablehq/plot';
import { UserError } from '../errors.ts';
import { formatNumber } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { mean } from '../statistics.ts';
import { palette } from './palette.ts';
import { drawPlot } from './plot.ts';
import { course, sampled, told } from './told.ts';

/**
 * Training loss by step: each step a dot, and the mean of nine steps as a line; the held-out loss before and after.
 * A run that goes on fills the width that it will have at its end.
 * @throws UserError if the run has no loss yet
 */
export function lossChart({ id, events }: Pick<RunRecord, 'id' | 'events'>, alt: string): string {
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []));
  const held = events.flatMap((event) => (event.type === 'evaluation' ? [event] : []));
  if (steps.length + held.length === 0) throw new UserError(`La ejecución «${id}» no tiene pérdidas, que pide «${alt}».`);
  const start = events.find((event) => event.type === 'start');
  const last = start?.type === 'start' ? start.steps : steps.at(-1)?.step ?? 0;
  const early = (steps.at(-1)?.step ?? 0) < 0.5 * last;
  const label = (text: string, fill: string) => ({ x: 'step', y: 'loss', text: () => text, fill });
  const exam = (when: string, event: typeof held[number] | undefined) =>
    label(`examen, ${when}: ${formatNumber(event?.loss ?? 0, 2, true)}`, palette.measured);
  const around = (i: number) => mean(steps.slice(Math.max(0, i - 4), i + 5).map(({ loss }) => loss));
  const smooth = sampled(steps.map(({ step }, i) => ({ step, i }))).map(({ step, i }) => ({ step, loss: around(i) }));
  const losses = (name: string, at: readonly { step: number; loss: number }[]) =>
    course(name, at, ({ loss }) => formatNumber(loss, 2, true), ({ step }) => `paso ${formatNumber(step)}`);
  return drawPlot(told(alt, losses('Entrenamiento', smooth), losses('Examen', held)), {
    width: 500, height: 310, marginLeft: 44, marginBottom: 58, marginRight: 14, marginTop: 34,
    x: {
      domain: [0, last],
      label: 'paso', labelAnchor: 'center', labelArrow: 'none', tickFormat: (n: number) => formatNumber(n), ticks: 5,
    },
    y: { label: 'pérdida', labelArrow: 'none', tickFormat: (loss: number) => formatNumber(loss, 2), grid: true, zero: true, ticks: 5 },
    marks: [
      Plot.dot(steps, { x: 'step', y: 'loss', r: 2, fill: palette.quiet, fillOpacity: 0.6 }),
      Plot.lineY(steps, Plot.windowY({ k: 9 }, { x: 'step', y: 'loss', stroke: palette.learns, strokeWidth: 3 })),
      Plot.dot(held, { x: 'step', y: 'loss', r: 8, fill: palette.measured, symbol: 'diamond' }),
      Plot.text(held.slice(0, 1), { ...exam('antes', held[0]), dx: 16, textAnchor: 'start' }),
      Plot.text(held.slice(1).slice(-1), { ...exam('después', held.at(-1)), dy: -62, textAnchor: 'end' }),
      Plot.text(steps.slice(-1), {
        ...label('pérdida de entrenamiento', palette.learns), ...(early ? { dx: 10, textAnchor: 'start' } : { dy: -36, textAnchor: 'end' }),
      }),
    ],
  });
}
