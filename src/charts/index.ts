import { z } from 'zod';
import { formatBytes, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { barsChart } from './bars.ts';
import { lossChart } from './loss.ts';
import { table } from './table.ts';

export type Chart = (record: RunRecord, alt: string) => string;

const figures = z.object({ loss: z.number(), perplexity: z.number(), exactMatch: z.number(), count: z.number() });
const qlora = z.object({
  evaluation: z.object({ before: figures, after: figures }),
  samples: z.array(z.object({ instruction: z.string(), input: z.string(), before: z.string(), after: z.string(), expected: z.string() })),
});
const format = z.object({ mae: z.number(), rmse: z.number(), bitsPerParameter: z.number(), perplexity: z.number() });
const quantization = z.object({
  bf16: z.object({ perplexity: z.number(), bytes: z.number() }),
  types: z.object({ nf4: format, fp4: format, int4: format }),
});
const checkpointing = z.object({
  with: z.object({ peakBytes: z.number(), secondsPerStep: z.number() }),
  without: z.object({ peakBytes: z.number(), secondsPerStep: z.number() }),
});

/** Every chart and table that a slide can embed, as `run:<id>/<name>`. */
export const charts: Record<string, Record<string, Chart>> = {
  qlora: {
    loss: lossChart,
    evaluation({ results }, alt) {
      const { before, after } = qlora.parse(results).evaluation;
      return table([
        [`${before.count} preguntas de examen`, 'antes', 'después'],
        ['acierto exacto', formatPercent(before.exactMatch), formatPercent(after.exactMatch)],
        ['pérdida', formatNumber(before.loss, 3, true), formatNumber(after.loss, 3, true)],
        ['perplejidad', formatSignificant(before.perplexity), formatSignificant(after.perplexity)],
      ], alt);
    },
    samples({ results }, alt) {
      const shorten = (text: string) => (text.length > 44 ? `${text.slice(0, 43)}…` : text || '(nada)');
      const samples = qlora.parse(results).samples.slice(0, 3);
      return table([
        ['pregunta', 'antes', 'después'],
        ...samples.map(({ instruction, input, before, after }) =>
          [`${instruction} ${input}`.trim(), shorten(before.replaceAll('\n', ' ')), after]),
      ], alt);
    },
  },
  quantization: {
    errors({ results }, alt) {
      const { bf16, types } = quantization.parse(results);
      return table([
        ['formato', 'bits/parámetro', 'error medio (σ)', 'error cuadrático (σ)', 'perplejidad'],
        ['bf16', '16', '—', '—', formatNumber(bf16.perplexity, 3, true)],
        ...Object.entries(types).map(([name, type]) => [
          { nf4: 'NF4', fp4: 'FP4', int4: 'Int4' }[name] ?? name, formatNumber(type.bitsPerParameter, 3, true),
          formatNumber(type.mae, 4, true), formatNumber(type.rmse, 4, true), formatNumber(type.perplexity, 3, true),
        ]),
      ], alt);
    },
  },
  checkpointing: {
    peak({ results }, alt) {
      const measured = checkpointing.parse(results);
      const bar = (label: string, { peakBytes, secondsPerStep }: { peakBytes: number; secondsPerStep: number }, color: 'sky' | 'orange') =>
        ({ label, value: peakBytes, text: `${formatBytes(peakBytes)} · ${formatNumber(secondsPerStep, 2)} s/paso`, color });
      return barsChart([bar('con checkpointing', measured.with, 'sky'), bar('sin checkpointing', measured.without, 'orange')], alt);
    },
  },
};
