import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeBatch } from '../src/data/batches.ts';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { formatNumber, formatPercent } from '../src/format.ts';
import { isLinear } from '../src/model/config.ts';
import { LlamaModel, logits } from '../src/model/llama.ts';
import { loadModel } from '../src/model/load.ts';
import { DenseWeight } from '../src/model/weights.ts';
import { loadAdapter, saveAdapter } from '../src/peft/folder.ts';
import { addAdapter, methods } from '../src/peft/methods.ts';
import type { MethodName } from '../src/peft/methods.ts';
import { matrix, spectrum } from '../src/peft/svd.ts';
import { disposeTrained, trainableParameters, unfreeze } from '../src/peft/trainable.ts';
import { Random } from '../src/random.ts';
import type { Tell } from '../src/runs/recorder.ts';
import { mean, median } from '../src/statistics.ts';
import { valuesOf } from '../src/tensor/read.ts';
import { score } from '../src/train/evaluate.ts';
import type { Scores } from '../src/train/evaluate.ts';
import { runJobs } from '../src/train/pool.ts';
import type { Job } from '../src/train/pool.ts';
import { train } from '../src/train/train.ts';

/** What all trainings of the slide have in common. */
export interface LoraSetting {
  readonly modelDir: string;
  readonly data: DataOptions;
  readonly ranks: readonly number[];
  /** The rank of the adapter that is merged and timed, and that the variants are compared at. */
  readonly r: number;
  readonly alpha: number;
  readonly steps: number;
  readonly learningRate: number;
  /** Of full fine-tuning, which takes smaller ones. */
  readonly fullLearningRate: number;
  /** Times that each model is asked, for the latency. */
  readonly rounds: number;
}

export const loraSetting = {
  ranks: [1, 2, 4, 8, 16, 32, 64], r: 16, alpha: 16, steps: 16, learningRate: 3e-3, fullLearningRate: 5e-4, rounds: 60,
};

interface RankJob {
  readonly method: MethodName;
  /** Where the adapter is to be left. */
  readonly folder?: string;
}

interface RankResult extends Scores {
  readonly method: MethodName;
  readonly r: number;
  readonly parameters: number;
}

interface FullResult {
  readonly base: Scores;
  readonly full: Scores & { readonly parameters: number };
  /** The full update of every linear layer cut to rank r; embedding and norms are the base's. */
  readonly truncated: readonly (Scores & { readonly r: number })[];
  /** Share of ‖ΔW‖² that rank r keeps, the mean of all linear layers; and of random matrices of their shapes. */
  readonly energy: readonly { readonly r: number; readonly update: number; readonly random: number }[];
}

// #region lora
/** A LoRA of rank r, trained and examined; `method` is lora, rslora or dora. */
export async function trainRank({ modelDir, data, ...job }: LoraSetting & RankJob): Promise<RankResult> {
  const { method, r, alpha, steps, learningRate, folder } = job;
  const model = addAdapter(loadModel(modelDir), { method, r, alpha, dropout: 0 });
  const { heldOut, ...examples } = await loadInstructions(modelDir, data);
  for await (const _ of train(model, { ...examples, heldOut: [] }, { steps, learningRate, checkpointing: false }));
  const scores = await score(model.base, heldOut, examples.tokenizer);
  if (folder) saveAdapter(model, folder, { baseModel: modelDir });
  disposeTrained(model); // the next job has a model of its own
  return { method, r, parameters: trainableParameters(model).trainable, ...scores };
}
// #endregion

/** Full fine-tuning, and its update cut to each rank. */
export async function trainAll(
  { modelDir, data, ranks, steps, fullLearningRate: learningRate }: LoraSetting,
): Promise<FullResult> {
  const { heldOut, ...examples } = await loadInstructions(modelDir, data);
  const examine = () => score(model.base, heldOut, examples.tokenizer);
  const model = unfreeze(loadModel(modelDir));
  const start = model.parameters.map(({ values }) => values.slice());
  const base = await examine();
  const training = {
    steps, learningRate, checkpointing: false,
    residentBytes: Number.MAX_SAFE_INTEGER, // two moments of every weight: no pages to and fro
  };
  for await (const _ of train(model, { ...examples, heldOut: [] }, training));
  const full = { ...await examine(), parameters: trainableParameters(model).trainable };

  const random = new Random(1);
  const updates = model.parameters.flatMap((parameter, i) => {
    if (!isLinear(parameter.name)) {
      parameter.assign(start[i]!);
      return [];
    }
    const [rows, columns] = parameter.shape as [number, number];
    const update = matrix(rows, columns, parameter.values.map((value, j) => value - start[i]![j]!));
    return [{ parameter, start: start[i]!, update, spectrum: spectrum(update), shape: `${rows}×${columns}` }];
  });
  const shapes = new Map(updates.map(({ shape, update }) => [shape, update]));
  const noise = new Map([...shapes].map(([shape, { rows, columns, values }]) =>
    [shape, spectrum(matrix(rows, columns, values.map(() => random.normal()))).values]));
  const all = Math.max(...updates.map(({ spectrum: { values } }) => values.length));
  const doublings = [...ranks, 128, all].filter((r, i, list) => r <= all && list.indexOf(r) === i);
  const energy = doublings.map((r) => ({
    r,
    update: mean(updates.map(({ spectrum: { values } }) => energyOf(values, r))),
    random: mean(updates.map(({ shape }) => energyOf(noise.get(shape)!, r))),
  }));
  const truncated = [];
  for (const r of ranks.filter((r) => r < all)) {
    for (const { parameter, start, spectrum } of updates) {
      const cut = spectrum.truncated(r);
      parameter.assign(start.map((value, j) => value + cut.values[j]!));
    }
    truncated.push({ r, ...await examine() });
  }
  return { base, full, truncated, energy };
}

/** Share of the sum of squares that the first r hold. */
function energyOf(values: Float64Array, r: number): number {
  const sum = (part: Float64Array) => part.reduce((total, value) => total + value * value, 0);
  return sum(values.subarray(0, r)) / sum(values);
}

/** Slide 3: rank against loss, the rank of a full update, and an adapter that costs nothing once merged. */
export async function lora(setting: LoraSetting, tell: Tell): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lora-'));
  try {
    const { r, ranks } = setting;
    const job = (name: string, run: string, options: object): Job =>
      ({ name, module: import.meta.url, run, options: { ...setting, ...options } as never });
    const rank = (r: number, method: MethodName = 'lora', options = {}) =>
      job(`${methods[method].title}, r = ${r}`, 'trainRank', { r, method, ...options });
    // The longest first, and the adapter that is needed next.
    const jobs = [
      job('full fine-tuning', 'trainAll', {}), rank(r, 'lora', { folder }),
      ...ranks.filter((other) => other !== r).map((r) => rank(r)),
      rank(r, 'rslora'), rank(r, 'dora'),
    ];
    const done: RankResult[] = [];
    for await (const { job, result: outcome } of runJobs<RankResult | FullResult>(jobs)) {
      if ('full' in outcome) {
        tell.line(`${job.name}: ${told(outcome.full)}; ${told(outcome.base)} antes de entrenar`);
        tell.result(outcome);
      } else {
        tell.line(`${job.name}: ${told(outcome)} con ${formatNumber(outcome.parameters)} parámetros`);
        done.push(outcome);
        const of = (method: MethodName) => done.filter((one) => one.method === method).sort((a, b) => a.r - b.r);
        tell.result({ ranks: of('lora'), variants: [...of('rslora'), ...of('dora')] });
      }
    }
    await merged(setting, folder, tell);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function told({ loss, exactMatch }: Scores): string {
  return `pérdida ${formatNumber(loss, 3, true)}, acierto ${formatPercent(exactMatch)}`;
}

/** The adapter merged into W: whether it answers the same, and what each costs. */
async function merged({ modelDir, data, rounds }: LoraSetting, folder: string, tell: Tell): Promise<void> {
  const { heldOut, tokenizer } = await loadInstructions(modelDir, data);
  const base = loadModel(modelDir);
  const unmerged = loadAdapter(new LlamaModel(base.config, base.weights), folder);
  const together = new LlamaModel(base.config, new Map([...base.weights].map(([name, weight]) => {
    const path = name.replace(/\.weight$/, '');
    return [name, unmerged.adapter.targets.has(path)
      ? new DenseWeight(valuesOf(() => unmerged.adapter.merged(path)), weight.shape)
      : weight];
  })));
  const { tokens, batchSize } = makeBatch(heldOut.slice(0, 8), tokenizer.padId);
  const answer = (model: LlamaModel) => valuesOf(() => logits(model, tokens, batchSize));
  const [apart, within] = [answer(unmerged.base), answer(together)];
  const largest = apart.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = apart.reduce((most, value, i) => Math.max(most, Math.abs(value - within[i]!)), 0) / largest;
  tell.line(`Fusionado y sin fusionar: los logits difieren en ${formatNumber(difference * 1e6, 2)} millonésimas del mayor`);

  const models = { base, merged: together, unmerged: unmerged.base };
  const names = Object.keys(models) as (keyof typeof models)[];
  const question = makeBatch(heldOut.slice(0, 1), tokenizer.padId).tokens;
  const times = { base: [] as number[], merged: [] as number[], unmerged: [] as number[] };
  for (let round = -3; round < rounds; round++) { // in turn, each first as often as the others; three rounds to warm up
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round + 3) % names.length]!;
      const began = performance.now();
      valuesOf(() => logits(models[name], question, 1));
      if (round >= 0) times[name].push(performance.now() - began);
    }
  }
  const over = (name: keyof typeof models) => median(times[name].map((time, i) => time / times.base[i]!));
  const latency = {
    rounds, tokens: question.length,
    milliseconds: { base: median(times.base), merged: median(times.merged), unmerged: median(times.unmerged) },
    mergedOverBase: over('merged'), unmergedOverBase: over('unmerged'),
  };
  tell.line(`Latencia sobre la base: fusionado × ${formatNumber(latency.mergedOverBase, 3, true)}, `
    + `sin fusionar × ${formatNumber(latency.unmergedOverBase, 3, true)}`);
  tell.result({ difference, latency });
}
