import { z } from 'zod';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import { table } from './table.ts';

const bytes = { optimizerBytes: z.number(), checkpointBytes: z.number(), peakBytes: z.number() };
const cost = z.object({ title: z.string(), parameters: z.number(), ...bytes });
export const measuredCosts = z.object({ measured: z.array(cost.extend({ exactMatch: z.number() })).min(1) });
export const plannedCosts = z.object({ at7B: z.array(cost).min(1) });

const cells = ({ title, parameters, optimizerBytes, checkpointBytes, peakBytes }: z.infer<typeof cost>) => {
  const sizes = [optimizerBytes, checkpointBytes, peakBytes].map((bytes) => formatBytes(bytes, true));
  return [title, formatNumber(parameters), ...sizes];
};
const head = ['parámetros', 'optimizador', 'checkpoint', 'pico'];

/** What each way of fine-tuning took here, the highest peak first, and how well it answers after the same steps. */
export function measuredCostsTable({ measured }: z.infer<typeof measuredCosts>, alt: string): string {
  return table([
    ['aquí', ...head, 'acierto'],
    ...[...measured].sort((a, b) => b.peakBytes - a.peakBytes)
      .map((one) => [...cells(one), formatPercent(one.exactMatch, 0)]),
  ], alt);
}

/** The same of a 7B, by the planner's formulas. */
export function plannedCostsTable({ at7B }: z.infer<typeof plannedCosts>, alt: string): string {
  const millions = (parameters: number) => `${formatNumber(parameters / 1e6, 1, true)} M`;
  return table([
    ['7B, calculado', ...head],
    ...at7B.map((one) => {
      const [title, , ...sizes] = cells(one) as [string, string, ...string[]];
      return [title, millions(one.parameters), ...sizes];
    }),
  ], alt);
}
