import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { formatNumber } from '../src/format.ts';
import { loadModel } from '../src/model/load.ts';
import { AdaLora } from '../src/peft/adalora.ts';
import { addAdapter, methods } from '../src/peft/methods.ts';
import { disposeTrained, trainableParameters } from '../src/peft/trainable.ts';
import type { Tell } from '../src/runs/recorder.ts';
import { meanLoss } from '../src/train/evaluate.ts';
import { runJobs } from '../src/train/pool.ts';
import { train } from '../src/train/train.ts';

export interface AdaloraSetting {
  readonly modelDir: string;
  /** Of these examples each seed draws as many as its steps need. */
  readonly data: DataOptions;
  readonly seeds: number;
  readonly steps: number;
  readonly batchSize: number;
  /** Of LoRA in each layer, and of AdaLoRA in the mean over them at the end. */
  readonly r: number;
}

export const adaloraSetting = { seeds: 5, steps: 32, batchSize: 4, r: 2 };

/** Each at the rate at which it learnt best in so few steps, of those tried with another seed. */
const ways = {
  adalora: { learningRate: 3e-2 },
  lora: { learningRate: 3e-3 },
  ia3: { learningRate: 1e-1 },
} as const;
type Way = keyof typeof ways;
const wayNames = Object.keys(ways) as Way[];

interface Training extends AdaloraSetting {
  readonly method: Way;
  readonly learningRate: number;
  readonly seed: number;
}

interface Trained {
  readonly parameters: number;
  /** At the held-out questions, per token of the answers. */
  readonly loss: number;
  /** The rank that each layer is left with, by its path: only AdaLoRA's differ. */
  readonly ranks: Record<string, number>;
}

/** One training from one seed: of its examples, their order and the first values. */
export async function trained(
  { modelDir, data, steps, batchSize, r, method, learningRate, seed }: Training,
): Promise<Trained> {
  const { heldOut, ...examples } = await loadInstructions(modelDir, { ...data, examples: steps * batchSize, seed });
  // #region adalora
  const model = addAdapter(loadModel(modelDir), { method, r, alpha: 16, dropout: 0, seed });
  const training = { batchSize, learningRate, seed, checkpointing: false };
  for await (const _event of train(model, { ...examples, heldOut: [] }, training));
  const { adapter } = model;
  const masks = adapter instanceof AdaLora ? adapter.masks : new Map<string, Float32Array>();
  const ranks = [...masks].map(([path, mask]) => [path, mask.filter((kept) => kept === 1).length]);
  const loss = await meanLoss(model.base, heldOut, examples.tokenizer);
  // #endregion
  const { trainable: parameters } = trainableParameters(model);
  disposeTrained(model); // another job follows
  return { parameters, loss, ranks: Object.fromEntries(ranks) as Record<string, number> };
}

/** Slide 5: AdaLoRA against LoRA of the same final rank, and IA3, from several seeds. */
export async function adalora(setting: AdaloraSetting, tell: Tell): Promise<void> {
  const { seeds, r, steps } = setting;
  // Seed by seed, so that a run that is stopped has compared like with like.
  const jobs = Array.from({ length: seeds }, (_, i) => i + 1).flatMap((seed) => wayNames.map((method) => ({
    name: `${methods[method].title}, semilla ${seed}`, module: import.meta.url, run: 'trained',
    options: { ...setting, method, seed, ...ways[method] } as never,
  })));
  const found = new Map<string, Trained>();
  for await (const { job, result } of runJobs<Trained>(jobs)) {
    found.set(job.name, result);
    tell.line(`${job.name}: pérdida de examen ${formatNumber(result.loss, 3, true)}`);
    const of = (method: Way) => jobs.filter(({ name }) => name.startsWith(`${methods[method].title},`))
      .flatMap(({ name }, i) => (found.has(name) ? [{ seed: i + 1, ...found.get(name)! }] : []));
    tell.result({
      r, steps,
      ways: wayNames.filter((method) => of(method).length > 0).map((method) => ({
        title: methods[method].title, learningRate: ways[method].learningRate, parameters: of(method)[0]!.parameters,
        losses: of(method).map(({ seed, loss }) => ({ seed, loss })),
      })),
      ranks: meanRanks(of('adalora').map(({ ranks }) => ranks)),
    });
  }
}

/** The mean over the seeds of each layer's rank. */
function meanRanks(runs: readonly Trained['ranks'][]): { layer: number; module: string; rank: number }[] {
  return Object.keys(runs[0] ?? {}).map((path) => {
    const [, layer, module] = /layers\.(\d+)\.\w+\.(\w+)$/.exec(path)!;
    const rank = runs.reduce((sum, ranks) => sum + ranks[path]!, 0) / runs.length;
    return { layer: Number(layer), module: module!, rank };
  });
}
