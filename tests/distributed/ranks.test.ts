import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeBatch } from '../../src/data/batches.ts';
import { expected } from '../../src/distributed/expected.ts';
import { jobDefaults } from '../../src/distributed/job.ts';
import type { Job, Span } from '../../src/distributed/job.ts';
import { Ranks } from '../../src/distributed/ranks.ts';
import type { RanksResult } from '../../src/distributed/ranks.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { AdamW, adamwDefaults } from '../../src/train/adamw.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { newModel } from '../../src/train/pretrain.ts';
import { temporaryFolder } from '../temporary.ts';
import { tinyConfig, tinyExamples } from '../tiny.ts';

const at = temporaryFolder();

const examples = tinyExamples(160);
const steps = Array.from({ length: 20 }, (_, i) => examples.slice(8 * i, 8 * i + 8));
const model = { config: { ...tinyConfig, hiddenSize: 16, vocabSize: 32 }, seed: 1 };
const job = (options: Partial<Job>): Job =>
  ({ ...jobDefaults, model, steps, padId: 2, pageBytes: 32, learningRate: 1e-2, ...options });

let ranks: Ranks;
let alone: readonly number[];

// Threads take a while to load; on a busy machine, more than a while.
beforeAll(async () => {
  await useBackend('wasm');
  alone = await oneRank();
  ranks = await Ranks.start(4, 'wasm');
}, 120_000);
afterAll(() => ranks.close());

/** The losses of the same steps by the loop of the rest of the project. */
async function oneRank(): Promise<number[]> {
  const trainable = newModel(model.config, model.seed);
  const optimizer = new AdamW(trainable.parameters, adamwDefaults);
  const losses: number[] = [];
  for (const examples of steps) {
    const batch = makeBatch(examples, 2);
    const { loss, gradients } = await lossAndGradients(trainable, batch, {
      pass: { training: true, seed: 0 }, checkpointing: true,
      scale: 1 / batch.labels.filter((label) => label >= 0).length,
    });
    const values = gradients.map((gradient) => gradient.dataSync<'float32'>().slice());
    tf.dispose(gradients);
    const norm = Math.sqrt(values.reduce((sum, gradient) => gradient.reduce((s, g) => s + g * g, sum), 0));
    optimizer.step(values, 1e-2, Math.min(1, 1 / (norm + 1e-6)));
    losses.push(loss);
  }
  return losses;
}

const largestDifference = (losses: readonly number[], reference: readonly number[]): number =>
  Math.max(...losses.map((loss, i) => Math.abs(loss / reference[i]! - 1)));

const limit = { timeout: 60_000 };

const schemes: readonly (readonly [what: string, options: Partial<Job>])[] = [
  ['one rank', {}],
  ['DDP', { ranks: 4, scheme: 'ddp' }],
  ['ZeRO-1', { ranks: 4, scheme: 'zero1' }],
  ['ZeRO-2', { ranks: 4, scheme: 'zero2' }],
  ['ZeRO-2, two micro-batches', { ranks: 2, scheme: 'zero2', microBatches: 2 }],
  ['ZeRO-3', { ranks: 4, scheme: 'zero3' }],
  ['ZeRO-3, two micro-batches', { ranks: 2, scheme: 'zero3', microBatches: 2 }],
  ['tensor parallel', { ranks: 2, tensorParallel: 2 }],
  ['GPipe', { ranks: 2, pipelineParallel: 2, microBatches: 4, schedule: 'gpipe' }],
  ['1F1B', { ranks: 2, pipelineParallel: 2, microBatches: 4 }],
  ['tensor × data', { ranks: 4, tensorParallel: 2 }],
  ['tensor × ZeRO-3', { ranks: 4, tensorParallel: 2, scheme: 'zero3' }],
  ['pipeline × data', { ranks: 4, pipelineParallel: 2, microBatches: 2 }],
  ['pipeline × ZeRO-1', { ranks: 4, pipelineParallel: 2, microBatches: 2, scheme: 'zero1' }],
  ['pipeline × tensor', { ranks: 4, pipelineParallel: 2, tensorParallel: 2, microBatches: 2 }],
];

/** Every rank's bytes beside the formulas': held within 2%, gradients sent within 2%, activations to the byte. */
function compareWithFormulas(of: Job, { reports }: RanksResult): void {
  for (const { rank, rows, held, sent } of reports) {
    const formula = expected(model.config, of, rank, rows);
    for (const part of ['weights', 'gradients', 'optimizer'] as const) {
      expect(Math.abs(held[part] / formula.held[part] - 1), `${part} of rank ${rank}`).toBeLessThan(0.02);
    }
    expect(sent.data, 'data').toBeCloseTo(formula.sent.data, -Math.log10(0.02 * formula.sent.data + 1));
    expect(sent.tensor, 'tensor').toBeCloseTo(formula.sent.tensor, 6);
    expect(sent.pipeline, 'pipeline').toBeCloseTo(formula.sent.pipeline, 6);
  }
}

describe('sharded training', () => {
  it.each(schemes)('%s: the losses of a single rank over 20 steps, and the bytes of the formulas', limit, async (_what, options) => {
    const result = await ranks.train(job(options));
    expect(largestDifference(result.losses, alone)).toBeLessThan(1e-5);
    compareWithFormulas(job(options), result);
  });

  it('sends 2Ψ, 2Ψ, 2Ψ and 3Ψ, by the ring’s (N − 1)/N', limit, async () => {
    const sent: number[] = [];
    for (const scheme of ['ddp', 'zero1', 'zero2', 'zero3'] as const) {
      const of = job({ ranks: 4, scheme, steps: steps.slice(0, 2) });
      const { reports } = await ranks.train(of);
      const { trained } = expected(model.config, of, 0, 0);
      sent.push(reports[0]!.sent.data / (4 * trained) / (3 / 4));
    }
    [2, 2, 2, 3].forEach((psi, i) => expect(sent[i]).toBeCloseTo(psi, 1));
  });

  it('keeps every micro-batch’s input in GPipe, and p − stage of them in 1F1B', limit, async () => {
    const kept = async (schedule: Job['schedule']) =>
      (await ranks.train(job({ ranks: 2, pipelineParallel: 2, microBatches: 4, schedule, steps: steps.slice(0, 1) })))
        .reports.map(({ mostKept }) => mostKept);
    expect(await kept('gpipe')).toEqual([4, 4]);
    expect(await kept('1f1b')).toEqual([2, 1]);
  });

  it.each(['gpipe', '1f1b'] as const)('%s passes micro-batches on that are longer than what is on its way at once', limit, async (schedule) => {
    const long = { ...examples[0]!, tokens: Int32Array.from({ length: 300 }, (_, i) => i % 13) };
    const wide = { config: { ...tinyConfig, hiddenSize: 1024, maxPositions: 512 }, seed: 1 }; // 1.2 MB a micro-batch
    const of = { model: wide, steps: [[long, long, long, long]], microBatches: 4 };
    const { losses } = await ranks.train(job(of));
    const passed = await ranks.train(job({ ...of, ranks: 2, pipelineParallel: 2, schedule }));
    expect(largestDifference(passed.losses, losses)).toBeLessThan(1e-5);
  });

  it.each(['host', 'disk'] as const)('offloads the optimizer’s states to the %s, all but a page, and back every step', limit, async (offload) => {
    const of = job({ ranks: 4, scheme: 'zero3', offload });
    const result = await ranks.train(of);
    expect(largestDifference(result.losses, alone)).toBeLessThan(1e-5);
    const { optimizer } = expected(model.config, of, 0, 0).held;
    for (const { held, offloaded, paged } of result.reports) {
      expect(held.optimizer).toBe(of.pageBytes);
      expect(Math.abs((offloaded + held.optimizer) / optimizer - 1)).toBeLessThan(0.02);
      expect(Math.abs(paged / (2 * optimizer) - 1)).toBeLessThan(0.06); // the first step reads nothing back
    }
  });

  it('with adapters on a 4-bit base: ZeRO-1 and 2 save little, stage 3 most', limit, async () => {
    const held: number[] = [];
    let single: readonly number[] | undefined;
    for (const scheme of ['ddp', 'zero1', 'zero2', 'zero3'] as const) {
      const options = { method: 'qlora', r: 1, steps: steps.slice(0, 5) } as const;
      const of = job({ ...options, ranks: 4, scheme });
      const result = await ranks.train(of);
      single ??= (await ranks.train(job(options))).losses;
      expect(largestDifference(result.losses, single)).toBeLessThan(1e-5);
      const { held: states, sent, rows } = result.reports[0]!;
      const formula = expected(model.config, of, 0, rows);
      expect(sent.data / formula.sent.data, scheme).toBeCloseTo(1, 1);
      held.push(states.weights + states.gradients + states.optimizer);
    }
    expect(held[2]! / held[0]!).toBeGreaterThan(0.5);
    expect(held[3]! / held[0]!).toBeLessThan(0.35);
  });

  it('tells when each rank went forward and back, and within that when they spoke to each other', limit, async () => {
    for (const [options, collectives] of [
      [{ ranks: 2, scheme: 'ddp' }, model.config.layers + 1], // the gradients of each block, and of the rest
      [{ ranks: 2, tensorParallel: 2 }, 6 * model.config.layers], // two a block forward, again, and back
    ] as const) {
      const { reports } = await ranks.train(job({ ...options, steps: steps.slice(0, 1) }));
      for (const { spans } of reports) {
        const of = (type: Span['type']) => spans.filter((span) => span.type === type);
        expect([of('forward'), of('backward'), of('update')].map(({ length }) => length)).toEqual([1, 1, 1]);
        expect(of('communicate')).toHaveLength(collectives);
        const [forward, backward, update] = [of('forward')[0]!, of('backward')[0]!, of('update')[0]!];
        expect(forward.to).toBe(backward.from);
        const whole = [forward.from, update.to];
        for (const { from, to } of of('communicate')) expect(from >= whole[0]! && to <= whole[1]! && to > from).toBe(true);
      }
    }
  });

  it('refuses a batch that cannot be shared out', async () => {
    await expect(ranks.train(job({ ranks: 3 }))).rejects.toThrow(RangeError);
  });
});

describe('a rank that dies in mid-step', () => {
  /** Files of pages that this process has open: they have no name that anybody could leave behind. */
  const pagesOpen = () => readdirSync('/proc/self/fd').flatMap((file) => {
    try {
      return readlinkSync(`/proc/self/fd/${file}`);
    } catch {
      return []; // that of the reading itself
    }
  }).filter((path) => path.includes('optimizer-pages-')).length;

  it('ends the run in one sentence within 5 s: no thread is left, and nothing on disk', limit, async () => {
    let [killed, during] = [0, 0];
    const long = Array.from({ length: 100 }, () => steps).flat();
    const outcome = ranks.train(job({ ranks: 4, scheme: 'zero3', offload: 'disk', steps: long }), (step) => {
      if (step !== 3) return;
      [killed, during] = [performance.now(), pagesOpen()];
      void ranks.threads[1]!.terminate();
    });
    const sentence = /^El rango 1 de 4 murió en el paso \d+: se detienen todos y no queda nada a medias; vuelve a lanzarlo\.$/;
    await expect(outcome).rejects.toThrow(sentence);
    expect(performance.now() - killed).toBeLessThan(5000);
    expect(during).toBe(4); // the states were on disk
    expect(pagesOpen()).toBe(0);
    expect(ranks.threads.map(({ threadId }) => threadId)).toEqual([-1, -1, -1, -1]); // all have ended
  });

  it('with the whole process: nobody is left, and nothing on disk', { timeout: 120_000 }, async () => {
    const TMPDIR = at('tmp');
    mkdirSync(TMPDIR);
    const run = spawn(process.execPath, ['--import', './src/start.js', join(import.meta.dirname, 'long-run.ts')], {
      env: { ...process.env, TMPDIR }, detached: true, stdio: ['ignore', 'pipe', 'inherit'], // a group of its own
    });
    const ended = new Promise<string | null>((resolve) => run.once('exit', (_code, signal) => resolve(signal)));
    await new Promise<void>((resolve) => run.stdout.on('data', (text) => String(text).includes('paso 3') && resolve()));
    const killed = performance.now();
    run.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    // No process of its group: the loader's ends when it hears that.
    await vi.waitFor(() => expect(() => process.kill(-run.pid!, 0)).toThrow('ESRCH'), { timeout: 5000 });
    expect(performance.now() - killed).toBeLessThan(5000);
    expect(readdirSync(TMPDIR).filter((name) => !name.startsWith('tsx-'))).toEqual([]); // that is the loader's cache
  });

  it('or fails, says why', limit, async () => {
    const one = await Ranks.start(1, 'cpu');
    const outcome = one.train(job({ model: { folder: '/no/existe' } }));
    await expect(outcome).rejects.toThrow(/^El rango 0 de 1 falló \(.*\/no\/existe.*\.$/);
  });
});
