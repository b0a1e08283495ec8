import type { Example } from '../data/batches.ts';
import type { LlamaConfig } from '../model/config.ts';
import type { ModelStates, PlanOptions } from './planner.ts';

/** A few training steps over some ranks. */
export interface Job {
  /** A folder that the first rank reads, or a model of random weights. */
  readonly model: { readonly folder: string } | { readonly config: LlamaConfig; readonly seed: number };
  readonly ranks: number;
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  /** Of the ranks that are left to be data-parallel. */
  readonly scheme: Exclude<PlanOptions['scheme'], 'fsdp'>;
  readonly schedule: 'gpipe' | '1f1b';
  /** `qlora`: a base in 4 bits and adapters of rank r; without tensor or pipeline parallel. */
  readonly method: 'full' | 'qlora';
  readonly r: number;
  /** Where the optimizer's states wait, but for one page. */
  readonly offload: 'none' | 'host' | 'disk';
  readonly pageBytes: number;
  /** The examples of each step: as many for each data-parallel rank and micro-batch. */
  readonly steps: readonly (readonly Example[])[];
  readonly microBatches: number;
  readonly padId: number;
  readonly learningRate: number;
  /** Largest global gradient norm. */
  readonly clip: number;
}

export const jobDefaults = {
  ranks: 1, tensorParallel: 1, pipelineParallel: 1, scheme: 'ddp', schedule: '1f1b', method: 'full', r: 16,
  offload: 'none', pageBytes: 64 * 1024, microBatches: 1, learningRate: 1e-4, clip: 1,
} as const satisfies Partial<Job>;

/** Where a rank stands: those of a tensor-parallel group are neighbours, stages furthest apart, as in Megatron-LM. */
export interface Place {
  readonly tensor: number;
  readonly data: number;
  readonly pipeline: number;
}

export const dataParallel = ({ ranks, tensorParallel, pipelineParallel }: Job): number =>
  ranks / (tensorParallel * pipelineParallel);

export function placeOf(job: Job, rank: number): Place {
  const { tensorParallel } = job;
  const data = dataParallel(job);
  return {
    tensor: rank % tensorParallel,
    data: Math.floor(rank / tensorParallel) % data,
    pipeline: Math.floor(rank / (tensorParallel * data)),
  };
}

/** Which of the model's blocks a rank has. The first ones come with the embedding, the last ones with the head. */
export interface Range {
  readonly from: number;
  readonly to: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

export function rangeOf(job: Job, rank: number, layers: number): Range {
  const { pipelineParallel } = job;
  const { pipeline } = placeOf(job, rank);
  const each = layers / pipelineParallel;
  return {
    from: pipeline * each, to: (pipeline + 1) * each,
    isFirst: pipeline === 0, isLast: pipeline === pipelineParallel - 1,
  };
}

/** From when to when, in seconds since the step began, a rank did something. */
export interface Span {
  readonly type: 'forward' | 'backward' | 'update' | 'communicate';
  readonly micro: number;
  readonly from: number;
  readonly to: number;
}

/** What a rank measured. Bytes; what is sent or paged, a step. */
export interface RankReport {
  readonly rank: number;
  /** States held from one step to the next. */
  readonly held: ModelStates;
  /** Optimizer states that wait elsewhere, and what goes to and fro. */
  readonly offloaded: number;
  readonly paged: number;
  readonly sent: {
    /** Between data-parallel ranks, inside layers, between stages, and the gradient's norm. */
    readonly data: number;
    readonly tensor: number;
    readonly pipeline: number;
    readonly scalars: number;
  };
  /** The most that tensors held at once: activations, and the parameters in use. */
  readonly peakTensors: number;
  /** Padded tokens of a step that went through this rank, on average: batches are of unlike length. */
  readonly rows: number;
  /** Micro-batches whose input a pipeline stage kept at once. */
  readonly mostKept: number;
  /** What it did in the last step, by a clock that all ranks share; seconds. Collectives are inside of the others. */
  readonly spans: readonly Span[];
}

/** What a rank tells. */
export type RankMessage =
  | { readonly type: 'ready' }
  /** @param loss this rank's share of it */
  | { readonly type: 'step'; readonly step: number; readonly loss: number }
  | { readonly type: 'done'; readonly report: RankReport }
  | { readonly type: 'failed'; readonly reason: string };
