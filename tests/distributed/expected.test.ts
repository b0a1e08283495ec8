import { describe, expect, it } from 'vitest';
import { expected } from '../../src/distributed/expected.ts';
import { jobDefaults, placeOf } from '../../src/distributed/job.ts';
import type { Job } from '../../src/distributed/job.ts';
import { bitsOfQuantized } from '../../src/distributed/planner.ts';
import type { LlamaConfig } from '../../src/model/config.ts';

/** 4 blocks of 655 872 parameters; embedding and norm have 1 048 832. */
const config: LlamaConfig = {
  vocabSize: 4096, hiddenSize: 256, intermediateSize: 640, layers: 4, heads: 8, kvHeads: 2, headDim: 32,
  maxPositions: 512, rmsNormEps: 1e-5, ropeTheta: 10000, tiedHead: true,
};
const [psi, embedding, linears] = [3_672_320, 4096 * 256, 655_360];
const job = (options: Partial<Job>): Job =>
  ({ ...jobDefaults, model: { config, seed: 1 }, steps: [], padId: 0, ...options });
const of = (options: Partial<Job>, rank = 0, rows = 0) => expected(config, job(options), rank, rows);

describe('what the formulas say', () => {
  it('of data-parallel ranks: 16Ψ, 8Ψ + 8Ψ/N, 4Ψ + 12Ψ/N, 16Ψ/N; sent 2Ψ, 2Ψ, 2Ψ, 3Ψ times (N − 1)/N', () => {
    expect(of({}).trained).toBe(psi);
    const bytes = (scheme: Job['scheme']) => {
      const { held, sent } = of({ ranks: 4, scheme });
      return [(held.weights + held.gradients + held.optimizer) / psi, sent.data / (4 * psi) / 0.75];
    };
    expect(bytes('ddp')).toEqual([16, 2]);
    expect(bytes('zero1')).toEqual([8 + 8 / 4, 2]);
    expect(bytes('zero2')).toEqual([4 + 12 / 4, 2]);
    expect(bytes('zero3')).toEqual([16 / 4, 3]);
    expect(of({}).sent.data).toBe(0);
  });

  it('of micro-batches: ZeRO-2 scatters, ZeRO-3 gathers and scatters, for each', () => {
    const sent = (scheme: Job['scheme']) => of({ ranks: 2, scheme, microBatches: 3 }).sent.data / (4 * psi) / 0.5;
    expect((['ddp', 'zero1', 'zero2', 'zero3'] as const).map(sent)).toEqual([2, 2, 4, 9]);
  });

  it('of tensor-parallel ranks: half of every linear layer; six all-reduces of its rows a block', () => {
    const { held, sent } = of({ ranks: 2, tensorParallel: 2 }, 0, 100);
    expect(held.weights).toBe(4 * (psi - 4 * linears / 2));
    expect(sent).toEqual({ data: 0, tensor: 4 * 6 * 100 * 256 * 4, pipeline: 0 });
  });

  it('of pipeline stages: their blocks, the tied embedding at both ends; a boundary each way', () => {
    const pipeline = { ranks: 2, pipelineParallel: 2, microBatches: 4 };
    expect(of(pipeline).trained).toBe(2 * (linears + 512) + embedding);
    expect(of(pipeline, 1).trained).toBe(2 * (linears + 512) + embedding + 256);
    expect(of(pipeline, 0, 100).sent.pipeline).toBe(100 * 256 * 4 + 4 * embedding);
    const middle = of({ ranks: 4, pipelineParallel: 4, microBatches: 4 }, 1, 100);
    expect(middle.sent.pipeline).toBe(2 * 100 * 256 * 4);
  });

  it('with adapters: they alone have gradients and states; the codes are shared out, the scales are not', () => {
    const adapters = 4 * 16 * (2 * 512 + 2 * 320 + 3 * 896);
    const [alone, shared] = [of({ method: 'qlora', ranks: 4 }), of({ method: 'qlora', ranks: 4, scheme: 'zero3' })];
    expect(alone.trained).toBe(adapters);
    expect(alone.held.optimizer).toBe(8 * adapters);
    const scales = 4 * linears * (bitsOfQuantized(true) - 4) / 8;
    expect(shared.held.weights - scales).toBeCloseTo((alone.held.weights - scales) / 4, 6);
  });
});

describe('places', () => {
  it('tensor-parallel ranks are neighbours, stages furthest apart', () => {
    const of = job({ ranks: 8, tensorParallel: 2, pipelineParallel: 2 });
    expect(placeOf(of, 1)).toEqual({ tensor: 1, data: 0, pipeline: 0 });
    expect(placeOf(of, 2)).toEqual({ tensor: 0, data: 1, pipeline: 0 });
    expect(placeOf(of, 4)).toEqual({ tensor: 0, data: 0, pipeline: 1 });
  });
});
