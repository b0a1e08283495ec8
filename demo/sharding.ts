import { join } from 'node:path';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { expected } from '../src/distributed/expected.ts';
import { jobDefaults } from '../src/distributed/job.ts';
import type { Job, RankReport, Span } from '../src/distributed/job.ts';
import { knownConfig } from '../src/distributed/known.ts';
import { plan, planDefaults } from '../src/distributed/planner.ts';
import type { ModelStates, PlanOptions } from '../src/distributed/planner.ts';
import { Ranks } from '../src/distributed/ranks.ts';
import { modelSize } from '../src/distributed/size.ts';
import { formatBytes, formatNumber } from '../src/format.ts';
import { openModel } from '../src/model/load.ts';

// #region sharding
/** What is trained, and how it is shared out among ranks: each a thread with its own memory. */
const schemes: Record<string, Partial<Job>> = {
  'un rango': { ranks: 1 },
  'DDP': { ranks: 4, scheme: 'ddp' },
  'ZeRO-1': { ranks: 4, scheme: 'zero1' },
  'ZeRO-2': { ranks: 4, scheme: 'zero2' },
  'ZeRO-3': { ranks: 4, scheme: 'zero3' },
  'ZeRO-3 y disco': { ranks: 4, scheme: 'zero3', offload: 'disk' },
  'tensor': { ranks: 2, tensorParallel: 2 },
  'GPipe': { ranks: 2, pipelineParallel: 2, microBatches: 4, schedule: 'gpipe' },
  '1F1B': { ranks: 2, pipelineParallel: 2, microBatches: 4, schedule: '1f1b' },
  'tensor × datos': { ranks: 4, tensorParallel: 2 },
  'tubería × datos': { ranks: 4, pipelineParallel: 2, microBatches: 2 },
  'QLoRA, DDP': { ranks: 4, method: 'qlora', scheme: 'ddp' },
  'QLoRA, ZeRO-2': { ranks: 4, method: 'qlora', scheme: 'zero2' },
  'QLoRA, ZeRO-3': { ranks: 4, method: 'qlora', scheme: 'zero3' },
};
// #endregion

/** Those whose last step is drawn, rank by rank. */
const drawn = ['DDP', 'ZeRO-3', 'tensor', 'GPipe', '1F1B'];

/** Bytes of the fullest rank, and of the one that sends most in a step; measured, and by the formulas. */
export interface SchemeResult {
  readonly name: string;
  readonly ranks: number;
  readonly held: ModelStates;
  readonly expectedHeld: number;
  readonly sent: number;
  readonly expectedSent: number;
  /** Of what data-parallel ranks send, in bytes of the trained parameters, without a ring's (N − 1)/N. */
  readonly psi: number;
  readonly offloaded: number;
  readonly peakTensors: number;
  readonly seconds: number;
  /** Of the losses, relative to those of the first scheme of the same training. */
  readonly lossDifference: number;
}

export interface ShardingResult {
  readonly schemes: readonly SchemeResult[];
  readonly steps: number;
  /** The last step of some schemes. */
  readonly timelines: Record<string, Timeline>;
  /** What ZeRO-2 and ZeRO-3 save of the states of QLoRA: here as measured, and by the planner for a 7B; 0 to 1. */
  readonly peft: Record<'here' | 'llama7b', { readonly zero2: number; readonly zero3: number }>;
}

export interface Timeline {
  /** What each rank did, in seconds. */
  readonly ranks: readonly (readonly Span[])[];
  /** How long ranks were idle, relative to their work. */
  readonly bubble: number;
  /** Micro-batches whose input the fullest rank of a pipeline kept at once; 0 of what is none. */
  readonly kept: number;
  /** Share of the step that collectives take: the wait for the others is part of them. */
  readonly communicates: number;
}

/** Steps that each scheme takes. */
const count = 2;

/** Slide 7: the same training steps by every scheme. It explains: past one machine the slide's engines do the work. */
export async function sharding(
  modelDir: string, data: DataOptions, { batchSize }: { batchSize: number },
  show: (line: string) => void,
): Promise<ShardingResult> {
  const { config } = openModel(modelDir);
  const { tokenizer, train } = await loadInstructions(modelDir, data);
  const steps = Array.from({ length: count }, (_, step) => train.slice(step * batchSize, (step + 1) * batchSize));
  const most = Math.max(...Object.values(schemes).map(({ ranks = 1 }) => ranks));
  show(`arranca ${most} rangos, cada uno un hilo con su memoria`);
  const ranks = await Ranks.start(most, 'wasm');
  const results: SchemeResult[] = [];
  const timelines: Record<string, Timeline> = {};
  const references = new Map<Job['method'], readonly number[]>();
  try {
    for (const [name, options] of Object.entries(schemes)) {
      const job: Job = { ...jobDefaults, model: { folder: modelDir }, steps, padId: tokenizer.padId, ...options };
      const began = performance.now();
      const { losses, reports } = await ranks.train(job);
      const seconds = (performance.now() - began) / 1000;
      if (!references.has(job.method)) references.set(job.method, losses);
      const reference = references.get(job.method)!;
      const formulas = reports.map(({ rank, rows }) => expected(config, job, rank, rows));
      const result: SchemeResult = {
        name, ranks: job.ranks, seconds,
        held: reports.map(({ held }) => held).reduce((full, held) => (total(held) > total(full) ? held : full)),
        expectedHeld: job.offload === 'none' ? Math.max(...formulas.map(({ held }) => total(held))) // but for a page, elsewhere
          : Math.max(...formulas.map(({ held }) => held.weights + held.gradients)) + job.pageBytes,
        sent: Math.max(...reports.map(({ sent }) => sentBy(sent))),
        expectedSent: Math.max(...formulas.map(({ sent }) => sent.data + sent.tensor + sent.pipeline)),
        psi: job.ranks === 1 ? 0 : reports[0]!.sent.data / (4 * formulas[0]!.trained) * job.ranks / (job.ranks - 1),
        offloaded: reports[0]!.offloaded, peakTensors: Math.max(...reports.map(({ peakTensors }) => peakTensors)),
        lossDifference: Math.max(...losses.map((loss, i) => Math.abs(loss / reference[i]! - 1))),
      };
      results.push(result);
      if (drawn.includes(name)) timelines[name] = timelineOf(reports);
      show(`${name}: ${formatBytes(total(result.held))} por rango (fórmula, ${formatBytes(result.expectedHeld)}); `
        + `envía ${formatBytes(result.sent)} por paso (fórmula, ${formatBytes(result.expectedSent)}); `
        + `pérdida ${formatNumber(losses.at(-1)!, 6, true)}, ${difference(result.lossDifference)}`);
    }
  } finally {
    await ranks.close();
  }
  const heldBy = (name: string) => total(results.find((result) => result.name === name)?.held ?? nothing);
  const saved = (of: (scheme: 'ddp' | 'zero2' | 'zero3') => number) =>
    ({ zero2: 1 - of('zero2') / of('ddp'), zero3: 1 - of('zero3') / of('ddp') });
  const named = { ddp: 'QLoRA, DDP', zero2: 'QLoRA, ZeRO-2', zero3: 'QLoRA, ZeRO-3' };
  return {
    schemes: results, steps: count, timelines,
    peft: { here: saved((scheme) => heldBy(named[scheme])), llama7b: saved((scheme) => llama7b({ scheme, gpus: 4 })) },
  };
}

const nothing: ModelStates = { weights: 0, gradients: 0, optimizer: 0 };
const total = ({ weights, gradients, optimizer }: ModelStates): number => weights + gradients + optimizer;
const sentBy = ({ data, tensor, pipeline }: RankReport['sent']): number => data + tensor + pipeline;

/** Bytes of states of a GPU, by the planner. */
function llama7b(options: Partial<PlanOptions>): number {
  return total(plan(modelSize(knownConfig('meta-llama/Llama-2-7b-hf')!), { ...planDefaults, ...options }).parts);
}

/** Seconds from the first thing that any rank did. Idle is who has nothing to do between the first and the last. */
function timelineOf(reports: readonly RankReport[]): Timeline {
  const start = Math.min(...reports.flatMap(({ spans }) => spans.map(({ from }) => from)));
  const round = (at: number) => Math.round((at - start) * 1e4) / 1e4;
  const ranks = reports.map(({ spans }) =>
    spans.map((span) => ({ ...span, from: round(span.from), to: round(span.to) })));
  const long = (spans: readonly Span[]) => spans.reduce((sum, { from, to }) => sum + to - from, 0);
  const passes = ranks.map((spans) => spans.filter(({ type }) => type === 'forward' || type === 'backward'));
  const end = Math.max(...passes.flat().map(({ to }) => to));
  const last = Math.max(...ranks.flat().map(({ to }) => to));
  const talked = ranks.flat().filter(({ type }) => type === 'communicate');
  return {
    ranks, kept: Math.max(...reports.map(({ mostKept }) => mostKept)),
    bubble: ranks.length * end / long(passes.flat()) - 1,
    communicates: long(talked) / (ranks.length * last),
  };
}

/** The files that the result depends on. */
export const shardingInputs = (modelDir: string, data: DataOptions): string[] =>
  [join(modelDir, 'config.json'), join(modelDir, 'model.safetensors'), ...data.files];

/** From what one process gets, relative: «igual», «a 2e-7 de la de un proceso». */
function difference(relative: number): string {
  return relative === 0 ? 'igual que en un proceso' : `a ${relative.toExponential(0)} de la de un proceso`;
}
