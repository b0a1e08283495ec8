import { z } from 'zod';
import { UserError } from '../errors.ts';
import { formatBytes, formatNumber, formatPercent } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { lossesChart, lossResults, rankResults, ranksMap } from './adalora.ts';
import { barsChart } from './bars.ts';
import {
  depth, depthChart, depthTable, effectiveBatch, effectiveBatchTable, precision, precisionTable,
} from './checkpointing.ts';
import { costChart, stepCost } from './cost.ts';
import { measuredCosts, measuredCostsTable, plannedCosts, plannedCostsTable } from './costs.ts';
import { errorsTable, quantization } from './errors.ts';
import { lossChart } from './loss.ts';
import { memoryBar } from './memory.ts';
import { accuracies, matrixChart, routing, routingChart } from './mixture.ts';
import {
  accumulationResults, accumulationTable, finderChart, finderResults, metricTable, modulesResults, modulesTable,
  overfittingChart, overfittingResults, sweepChart, sweepResults,
} from './practices.ts';
import {
  latencyResults, latencyTable, ranksChart, ranksResults, spectrumChart, spectrumResults, variantsTable,
} from './ranks.ts';
import { partitionChart } from './partition.ts';
import { pipelineTimeline, ranksTimeline, schemesTable, sharding, statesChart } from './sharding.ts';
import { table } from './table.ts';

/** Of a whole run, or of one as far as it has come. */
export type Chart = (record: Pick<RunRecord, 'id' | 'results' | 'events'>, alt: string) => string;

const figures = z.object({ loss: z.number(), perplexity: z.number(), exactMatch: z.number(), count: z.number() });
const evaluation = z.object({ evaluation: z.object({ before: figures, after: figures }) });
const samples = z.object({
  samples: z.array(z.object({
    instruction: z.string(), input: z.string(), before: z.string(), after: z.string(), expected: z.string(),
  })),
});
const bytes = z.object({
  quantization: z.object({ linearBytesBefore: z.number(), linearBytesAfter: z.number(), bitsPerParameter: z.number() }),
});
const step = z.object({ peakBytes: z.number(), secondsPerStep: z.number() });
const checkpointing = z.object({ with: step, without: step });

/** Every chart and table that a slide can embed, as `run:<id>/<name>`. */
export const charts: Readonly<Record<string, Readonly<Record<string, Chart>>>> = {
  qlora: {
    loss: lossChart,
    memory: memoryBar,
    bytes: chart(bytes, ({ quantization: { linearBytesBefore, linearBytesAfter, bitsPerParameter } }, alt) => {
      const bar = (label: string, value: number, bits: string, color: 'learns' | 'quiet') =>
        ({ label, value, text: `${formatBytes(value, true)} · ${bits} bits/parámetro`, color });
      return barsChart([
        bar('bf16', linearBytesBefore, '16', 'quiet'),
        bar('NF4 + DQ', linearBytesAfter, formatNumber(bitsPerParameter, 3, true), 'learns'),
      ], alt);
    }),
    evaluation: chart(evaluation, ({ evaluation: { before, after } }, alt) => table([
      [`${before.count} preguntas de examen`, 'antes', 'después'],
      ['acierto exacto', formatPercent(before.exactMatch, 1, true), formatPercent(after.exactMatch, 1, true)],
      ['pérdida', formatNumber(before.loss, 3, true), formatNumber(after.loss, 3, true)],
      ['perplejidad', formatNumber(before.perplexity, 2, true), formatNumber(after.perplexity, 2, true)],
    ], alt)),
    samples: chart(samples, ({ samples }, alt) => table([
      ['pregunta', 'antes', 'después'],
      ...samples.slice(0, 3).map(({ instruction, input, before, after }) =>
        [`${instruction} ${input}`.trim(), shorten(before), shorten(after)]),
    ], alt)),
  },
  peft: {
    measured: chart(measuredCosts, measuredCostsTable),
    planned: chart(plannedCosts, plannedCostsTable),
  },
  lora: {
    ranks: chart(ranksResults, ranksChart),
    spectrum: chart(spectrumResults, spectrumChart),
    latency: chart(latencyResults, latencyTable),
    variants: chart(ranksResults, variantsTable),
  },
  quantization: {
    errors: chart(quantization, errorsTable),
  },
  mixture: {
    matrix: chart(accuracies, matrixChart),
    routing: chart(routing, routingChart),
  },
  practices: {
    overfitting: chart(overfittingResults, overfittingChart),
    metric: chart(overfittingResults, metricTable),
    sweep: chart(sweepResults, sweepChart),
    finder: chart(finderResults, finderChart),
    modules: chart(modulesResults, modulesTable),
    accumulation: chart(accumulationResults, accumulationTable),
  },
  sharding: {
    states: chart(sharding, statesChart),
    schemes: chart(sharding, schemesTable),
    timeline: chart(sharding, pipelineTimeline),
    ranks: chart(sharding, ranksTimeline),
  },
  bench: {
    cost: chart(stepCost, costChart),
  },
  adalora: {
    losses: chart(lossResults, lossesChart),
    ranks: chart(rankResults, ranksMap),
  },
  checkpointing: {
    layers: chart(depth, depthChart),
    depths: chart(depth, depthTable),
    partition: (_record, alt) => partitionChart(alt),
    precision: chart(precision, precisionTable),
    accumulation: chart(effectiveBatch, effectiveBatchTable),
    peak: chart(checkpointing, (measured, alt) => {
      const bar = (label: string, { peakBytes, secondsPerStep }: z.infer<typeof step>, color: 'learns' | 'quiet') =>
        ({ label, value: peakBytes, text: `${formatBytes(peakBytes, true)} · ${formatNumber(secondsPerStep, 2, true)} s/paso`, color });
      return barsChart([bar('sin recomputar', measured.without, 'quiet'), bar('recomputando', measured.with, 'learns')], alt);
    }),
  },
};

/** A chart of the figures that the schema names. */
function chart<T>(schema: z.ZodType<T>, draw: (results: T, alt: string) => string): Chart {
  return ({ id, results }, alt) => {
    const parsed = schema.safeParse(results);
    if (parsed.success) return draw(parsed.data, alt);
    throw new UserError(`A la ejecución «${id}» le falta la cifra «${parsed.error.issues[0]?.path.join('.')}» `
      + `que pide «${alt}»: vuelve a registrarla con npm run record.`);
  };
}

function shorten(answer: string): string {
  const line = answer.replaceAll('\n', ' ');
  return line.length > 44 ? `${line.slice(0, 43)}…` : line || '(nada)';
}
