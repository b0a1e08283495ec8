import { isLinear, weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { loraDefaults, loraShapes } from '../peft/lora.ts';
import { sizeOf } from '../shape.ts';
import { dataParallel, rangeOf } from './job.ts';
import type { Job } from './job.ts';
import { bitsOfQuantized, shard, stages } from './planner.ts';
import type { ModelStates } from './planner.ts';
import { owns } from './stages.ts';
import { isSplit } from './tensor-parallel.ts';

/** What the formulas say that a rank holds between steps, and sends in one of them. Bytes. */
export interface Expected {
  readonly held: ModelStates;
  readonly sent: { readonly data: number; readonly tensor: number; readonly pipeline: number };
  /** Ψ: parameters that the rank's replica trains. */
  readonly trained: number;
}

/** A parameter, its gradient, and Adam's two moments, in fp32. (In the paper, bf16 and a master copy: 2, 2, 12.) */
const bytesOf = { weights: 4, gradients: 4, optimizer: 8 } as const;

/**
 * The planner's formulas for what the ranks do, which differs from the engines in this: everything is in fp32; every
 * stage of the model is computed again on the way back; tensor-parallel ranks each have the whole embedding. Traffic is
 * that of rings: (N − 1)/N of what ZeRO counts for many ranks (Rajbhandari et al., 2020, section 7).
 *
 * @param rows padded tokens of a step that go through the rank
 */
export function expected(config: LlamaConfig, job: Job, rank: number, rows: number): Expected {
  const { tensorParallel: t, pipelineParallel: p, microBatches: m } = job;
  const n = dataParallel(job);
  const ring = (ranks: number) => (ranks - 1) / ranks;
  const range = rangeOf(job, rank, config.layers);
  const sizes = [...weightShapes(config)].filter(([name]) => owns(range, config.tiedHead, name))
    .map(([name, shape]) => ({ name, size: sizeOf(shape) / (isSplit(name) ? t : 1) }));
  const sum = (kept: (name: string) => boolean) =>
    sizes.filter(({ name }) => kept(name)).reduce((total, { size }) => total + size, 0);
  const embedding = 4 * sum((name) => name === 'model.embed_tokens.weight');
  const stage = stages[job.scheme];
  const adapters = [...loraShapes(config, { ...loraDefaults, r: job.r }).values()]
    .reduce((total, shape) => total + sizeOf(shape), 0);
  const trained = job.method === 'full' ? sum(() => true) : adapters;
  const states = shard({
    weights: bytesOf.weights * trained, gradients: bytesOf.gradients * trained, optimizer: bytesOf.optimizer * trained,
  }, job.scheme, n);

  // Of a base in 4 bits the codes are shared out, and what is wide; scales stay with every rank.
  const frozen = job.method === 'full' ? 0 : sum(isLinear) / 2 + 4 * sum((name) => !isLinear(name));
  const scales = job.method === 'full' ? 0 : sum(isLinear) * (bitsOfQuantized(true) - 4) / 8;
  // A tied embedding is used three times: to embed, by the head, and by the head computed again.
  const again = job.method !== 'full' && config.tiedHead ? embedding : 0;

  const boundary = 4 * rows * config.hiddenSize;
  const psi = 4 * trained;
  const data = [2 * psi, 2 * psi, (m + 1) * psi, m * (3 * psi + 2 * frozen + again)][stage]!;
  // An all-reduce for attention and one for the feed-forward, three times: forward, computed again, backward.
  const reduces = 3 * 2 * (range.to - range.from);
  const tied = p > 1 && config.tiedHead ? embedding : 0; // both ends sum what they have learnt of it
  return {
    held: { ...states, weights: states.weights + frozen / (stage === 3 ? n : 1) + scales },
    sent: {
      data: ring(n) * data,
      tensor: reduces * 2 * ring(t) * boundary,
      pipeline: (Number(!range.isFirst) + Number(!range.isLast)) * boundary + 2 * ring(2) * tied,
    },
    trained,
  };
}
