import * as Plot from '@observablehq/plot';
import { z } from 'zod';
import { formatDifference, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import { palette } from './palette.ts';
import { drawPlot } from './plot.ts';
import { rect, svg, text } from './svg.ts';
import { caption, table } from './table.ts';
import { course, sampled, told } from './told.ts';

const look = z.object({ step: z.number(), loss: z.number(), exactMatch: z.number() });

export const finderResults = z.object({
  finder: z.object({
    points: z.array(z.object({ learningRate: z.number(), loss: z.number(), smoothLoss: z.number() })).min(1),
    suggestion: z.number(),
  }),
});

const lossAxis = {
  label: 'pérdida', labelArrow: 'none', tickFormat: (loss: number) => formatNumber(loss, 2), grid: true, zero: true, ticks: 5,
} as const;
const steps = { labelAnchor: 'center', labelArrow: 'none', tickFormat: (n: number) => formatNumber(n) } as const;

/** Loss while the learning rate climbs: each step a dot, its smoothed course as a line, the suggestion marked. */
export function finderChart({ finder: { points, suggestion } }: z.infer<typeof finderResults>, alt: string): string {
  const chosen = points.find(({ learningRate }) => learningRate === suggestion) ?? points[0]!;
  const figures = course('Pérdida', sampled(points), ({ smoothLoss }) => formatNumber(smoothLoss, 2, true),
    ({ learningRate }) => formatSignificant(learningRate, 2));
  return drawPlot(told(alt, figures, `Cae más deprisa en ${formatSignificant(suggestion, 2)}`), {
    width: 540, height: 336, marginLeft: 54, marginBottom: 58, marginRight: 20, marginTop: 36,
    x: {
      ...steps, type: 'log', label: 'tasa de aprendizaje', ticks: 5,
      tickFormat: (rate: number) => formatSignificant(rate, 1),
    },
    y: { ...lossAxis, tickFormat: (loss: number) => formatNumber(loss, 1) },
    marks: [
      Plot.dot(points, { x: 'learningRate', y: 'loss', r: 3, fill: palette.quiet }),
      Plot.lineY(points, { x: 'learningRate', y: 'smoothLoss', stroke: palette.learns, strokeWidth: 3 }),
      Plot.dot([chosen], { x: 'learningRate', y: 'smoothLoss', r: 9, fill: palette.measured, symbol: 'diamond' }),
      Plot.text([chosen], {
        x: 'learningRate', y: 'smoothLoss', text: () => `cae más deprisa en ${formatSignificant(suggestion, 2)}`,
        fill: palette.measured, textAnchor: 'end', dx: -4, dy: -52,
      }),
    ],
  });
}

export const sweepResults = z.object({
  sweep: z.array(z.object({ r: z.number(), alpha: z.number(), loss: z.number() })).min(1),
});

/** Held-out loss by r and alpha: the lower, the brighter; the least is set off. */
export function sweepChart({ sweep }: z.infer<typeof sweepResults>, alt: string): string {
  const sorted = (of: 'r' | 'alpha') => [...new Set(sweep.map((cell) => cell[of]))].sort((a, b) => a - b);
  const [columns, rows] = [sorted('alpha'), sorted('r')];
  const losses = sweep.map(({ loss }) => loss);
  const [least, most] = [Math.min(...losses), Math.max(...losses)];
  const [left, top, width, height] = [92, 44, 148, 48];
  const figures = rows.map((r) => course(`r = ${r}`, sweep.filter((cell) => cell.r === r), ({ loss }) => formatNumber(loss, 3, true),
    ({ alpha }) => `alpha = ${formatNumber(alpha)}`));
  return svg(left + width * columns.length + 4, top + height * rows.length + 10, told(alt, ...figures),
    text(left - 12, 28, 'alpha', { 'text-anchor': 'end', 'fill': palette.quiet }),
    ...columns.map((alpha, i) => text(left + width * (i + 0.5), 28, formatNumber(alpha), { fill: palette.quiet })),
    ...rows.map((r, j) =>
      text(left - 12, top + height * (j + 0.6), `r = ${r}`, { 'text-anchor': 'end', 'fill': palette.quiet })),
    ...sweep.flatMap(({ r, alpha, loss }) => {
      const [x, y] = [left + width * columns.indexOf(alpha), top + height * rows.indexOf(r)];
      const share = most > least ? (most - loss) / (most - least) : 1;
      const best = loss === least;
      return [
        rect(x + 3, y + 3, width - 6, height - 6, {
          'fill': palette.learns, 'fill-opacity': 0.05 + 0.3 * share, 'rx': 4, // its figure stands out, at 7:1
          'stroke': best ? palette.measured : palette.line, 'stroke-width': best ? 4 : 1,
        }),
        text(x + width / 2, y + height / 2 + 8, formatNumber(loss, 3, true), best ? { 'font-weight': 700 } : {}),
      ];
    }));
}

export const overfittingResults = z.object({
  overfitting: z.object({
    examples: z.number(), dropout: z.number(), patience: z.number(),
    plain: z.array(look).min(1), dropped: z.array(look), training: z.array(z.number()),
    stopped: look.nullable(), bestLoss: look, bestMatch: look,
  }),
});
type Overfitting = z.infer<typeof overfittingResults>;
type Look = z.infer<typeof look>;

/** Validation loss by step on few examples, with dropout and without, where early stopping ends; and words. */
export function overfittingChart({ overfitting: o }: Overfitting, alt: string): string {
  const beside = { x: 'step', y: 'loss', textAnchor: 'start', dx: 10 } as const;
  const end = (looks: readonly Look[], words: string, fill: string, dy: number) =>
    Plot.text(looks.slice(-1), { ...beside, text: () => words, fill, dy });
  const over = o.plain.at(-1)!.loss > (o.dropped.at(-1)?.loss ?? 0);
  const losses = (name: string, looks: readonly Pick<Look, 'step' | 'loss'>[]) =>
    course(name, sampled(looks), ({ loss }) => formatNumber(loss, 3, true), ({ step }) => `paso ${formatNumber(step)}`);
  const training = o.training.map((loss, i) => ({ step: i + 1, loss }));
  const figures = [
    losses('Sin dropout', o.plain), losses(`Con dropout ${formatNumber(o.dropout, 2)}`, o.dropped), losses('Entrenamiento', training),
    o.stopped ? `Early stopping en el paso ${formatNumber(o.stopped.step)}` : '',
  ];
  return drawPlot(told(alt, ...figures), {
    width: 540, height: 270, marginLeft: 54, marginBottom: 58, marginRight: 140, marginTop: 34,
    x: { ...steps, label: 'paso', ticks: 5, domain: [0, o.plain.at(-1)!.step] },
    y: lossAxis,
    marks: [
      ...(o.stopped
        ? [Plot.ruleX([o.stopped.step], { stroke: palette.measured, strokeDasharray: '6 5', strokeWidth: 2 })]
        : []),
      Plot.lineY(training, {
        x: 'step', y: 'loss', stroke: palette.quiet, strokeWidth: 2,
      }),
      Plot.lineY(o.dropped, { x: 'step', y: 'loss', stroke: palette.green, strokeWidth: 3, strokeDasharray: '9 5' }),
      Plot.lineY(o.plain, { x: 'step', y: 'loss', stroke: palette.learns, strokeWidth: 3 }),
      Plot.dot([o.bestLoss], { x: 'step', y: 'loss', r: 8, fill: palette.measured, symbol: 'diamond' }),
      Plot.text([o.bestLoss], { x: 'step', y: 'loss', text: () => 'la menor', fill: palette.measured, textAnchor: 'start', dx: -8, dy: -24 }),
      end(o.plain, 'sin dropout', palette.learns, over ? -11 : 11),
      end(o.dropped, `dropout ${formatNumber(o.dropout, 2)}`, palette.green, over ? 11 : -11),
      ...(o.stopped ? [Plot.text([o.stopped], {
        x: 'step', frameAnchor: 'top', dy: -18, text: () => 'early stopping', fill: palette.measured,
      })] : []),
      Plot.text([{ step: o.training.length, loss: o.training.at(-1)! }], {
        ...beside, text: () => 'entrenamiento', fill: palette.quiet, dy: -4,
      }),
    ],
  }) + caption(outcome(o));
}

/** Least and last losses: neither a dropout that does not help nor a stop that does not come is left without a word. */
function outcome({ plain, dropped, bestLoss, stopped, patience }: Overfitting['overfitting']): string {
  const last = plain.at(-1)!.loss;
  const end = dropped.at(-1)?.loss;
  const said = (loss: number) => formatNumber(loss, 3, true);
  const stop = stopped ? '' : ` Con paciencia ${patience}, el early stopping no llega a parar.`;
  if (end === undefined) return `Menor pérdida, ${said(bestLoss.loss)}; al final, ${said(last)}.${stop}`;
  const least = Math.min(...dropped.map(({ loss }) => loss));
  const words = least >= bestLoss.loss ? 'Aquí el dropout no ayuda.'
    : end < last ? 'El dropout baja ambas.' : 'El dropout baja la menor, no la del final: hay que parar a tiempo.';
  return `Menor pérdida, ${said(bestLoss.loss)}; con dropout, ${said(least)}. Al final, ${said(last)} y ${said(end)}. ${words}${stop}`;
}

/** The look of the lowest loss and that of the most right answers: whether both would choose the same. */
export function metricTable({ overfitting: { bestLoss, bestMatch } }: Overfitting, alt: string): string {
  const row = (name: string, { step, loss, exactMatch }: Look) =>
    [name, formatNumber(step), formatNumber(Math.exp(loss), 3, true), formatPercent(exactMatch, 0)];
  return table([
    ['elige', 'paso', 'perplejidad', 'acierto'],
    row('la perplejidad', bestLoss),
    row('la tarea', bestMatch),
  ], alt) + caption(bestLoss.exactMatch === bestMatch.exactMatch ? 'Aquí eligen lo mismo.'
    : bestMatch.step > bestLoss.step ? 'No eligen lo mismo: la perplejidad ya sube mientras el acierto mejora.'
      : 'No eligen lo mismo: la perplejidad aún baja cuando el acierto ya no mejora.');
}

export const modulesResults = z.object({
  modules: z.array(look.omit({ step: true }).extend({ modules: z.string(), parameters: z.number() })).min(1),
});

/** The same training on few modules, more, and all. */
export function modulesTable({ modules }: z.infer<typeof modulesResults>, alt: string): string {
  const least = Math.min(...modules.map(({ loss }) => loss));
  const best = modules.find(({ loss }) => loss === least)!;
  const above = modules[0]!.loss / least - 1;
  const words = above === 0
    ? `${best.modules} bastan aquí: nada más baja la pérdida.`
    : `Aquí no bastan ${modules[0]!.modules}: su pérdida es un ${formatPercent(above, 0)} mayor que con ${best.modules}.`;
  return table([
    ['módulos', 'parámetros', 'pérdida', 'acierto'],
    ...modules.map(({ modules, parameters, loss, exactMatch }) => {
      const cell = { text: formatNumber(loss, 3, true), best: loss === least };
      return [modules, formatNumber(parameters), cell, formatPercent(exactMatch, 0)];
    }),
  ], alt) + caption(words);
}

export const accumulationResults = z.object({
  accumulation: z.object({ losses: z.array(z.number()).min(1), largestDifference: z.number() }),
});

/** One batch of eight, and two of four accumulated: batch × accumulation, as on slide 8. */
export function accumulationTable({ accumulation }: z.infer<typeof accumulationResults>, alt: string): string {
  const { losses, largestDifference } = accumulation;
  return table([
    ['paso', ...losses.map((_, i) => formatNumber(i + 1))],
    ['8 × 1 y 4 × 2', ...losses.map((loss) => formatNumber(loss, 4, true))],
  ], alt) + caption(largestDifference === 0 ? 'Ninguna diferencia.' : `Mayor diferencia: ${formatDifference(largestDifference)}.`);
}
