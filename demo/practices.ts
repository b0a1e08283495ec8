import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { formatNumber, formatPercent, formatSignificant } from '../src/format.ts';
import { loadModel } from '../src/model/load.ts';
import { addLora } from '../src/peft/lora.ts';
import type { LoraOptions } from '../src/peft/lora.ts';
import { disposeTrained, trainableParameters } from '../src/peft/trainable.ts';
import type { Tell } from '../src/runs/recorder.ts';
import { findLearningRate } from '../src/train/finder.ts';
import type { FinderResult } from '../src/train/finder.ts';
import { runJobs } from '../src/train/pool.ts';
import type { Job } from '../src/train/pool.ts';
import { EarlyStopping } from '../src/train/stopping.ts';
import { train } from '../src/train/train.ts';
import type { TrainOptions } from '../src/train/train.ts';

export interface PracticesSetting {
  readonly modelDir: string;
  readonly data: DataOptions;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly ranks: readonly number[];
  readonly alphas: readonly number[];
  /** Steps of each training of the sweep and of the comparison of modules; steps of the finder's climb. */
  readonly steps: number;
  readonly climb: number;
  /** The training that overfits: few examples, many steps, a look every so many. */
  readonly small: { readonly examples: number; readonly steps: number; readonly validateEvery: number };
  readonly dropout: number;
  /** Looks without improvement after which early stopping ends. */
  readonly patience: number;
  /** A file that keeps the results of the sweep: it goes on where it was left. */
  readonly keep?: string | undefined;
}

export const practicesSetting = {
  batchSize: 4, learningRate: 3e-3, ranks: [2, 8, 32], alphas: [4, 16, 64], steps: 16, climb: 40,
  small: { examples: 24, steps: 60, validateEvery: 5 }, dropout: 0.3, patience: 3,
};

/** What slide 9 says that often is enough, what it adds, and everything. */
const moduleSets = [
  ['q_proj', 'v_proj'],
  ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
  'all-linear',
] as const;

interface Training {
  readonly modelDir: string;
  readonly data: DataOptions;
  readonly examples: number;
  /** Whether it is looked at with the held-out questions; at the least, at the end. */
  readonly isExamined: boolean;
  readonly lora: Partial<LoraOptions>;
  readonly training: Partial<TrainOptions>;
}

interface Look {
  readonly step: number;
  readonly loss: number;
  readonly exactMatch: number;
}

interface Trained {
  readonly parameters: number;
  /** Of each step's batch. */
  readonly losses: readonly number[];
  /** At the held-out questions, the last one at the end; none if it is not examined. */
  readonly looks: readonly Look[];
}

// #region practices
/** One LoRA, trained on so many examples and looked at now and then: what the sweep and the curves are made of. */
export async function trained({ modelDir, data, examples, isExamined, lora, training }: Training): Promise<Trained> {
  const model = addLora(loadModel(modelDir), { dropout: 0, ...lora });
  const { tokenizer, heldOut, ...all } = await loadInstructions(modelDir, data);
  const losses: number[] = [];
  const looks: Look[] = [];
  const given = { tokenizer, train: all.train.slice(0, examples), validation: isExamined ? heldOut : [], heldOut: [] };
  for await (const event of train(model, given, { checkpointing: false, ...training })) {
    if (event.type === 'step') losses.push(event.loss);
    if (event.type === 'evaluation') looks.push({ step: event.step, loss: event.loss, exactMatch: event.exactMatch });
  }
  const { trainable: parameters } = trainableParameters(model);
  disposeTrained(model); // the next job has a model of its own
  return { parameters, losses, looks };
}
// #endregion

/** The learning-rate finder on the same model and data. */
export async function found({ modelDir, data, batchSize, climb }: PracticesSetting): Promise<FinderResult> {
  const model = addLora(loadModel(modelDir), { dropout: 0 });
  return findLearningRate(
    model, await loadInstructions(modelDir, data), { batchSize, checkpointing: false }, { steps: climb });
}

/** Slide 9: each of its counsels, tried. */
export async function practices(setting: PracticesSetting, tell: Tell): Promise<void> {
  const { modelDir, data, batchSize, learningRate, ranks, alphas, steps, small, dropout, patience } = setting;
  const module = import.meta.url;
  const job = (
    name: string, lora: Training['lora'], changes: Training['training'], { examples = data.examples, isExamined = true } = {},
  ): Job => {
    const training = { batchSize, learningRate, validateEvery: steps, ...changes };
    return { name, module, run: 'trained', options: { modelDir, data, examples, isExamined, lora, training } as never };
  };
  const overfitting = (dropout: number) => job(
    `dropout ${formatNumber(dropout, 2)}`, { dropout },
    { steps: small.steps, validateEvery: small.validateEvery, schedule: 'constant' }, { examples: small.examples });
  const parts = {
    plain: overfitting(0),
    dropped: overfitting(dropout),
    finder: { name: 'buscador de tasa', module, run: 'found', options: setting as never } satisfies Job,
    whole: job('un lote de 8', {}, { batchSize: 8, steps: 3 }, { isExamined: false }),
    halves: job('dos lotes de 4', {}, { batchSize: 4, accumulation: 2, steps: 3 }, { isExamined: false }),
  };
  const modules = moduleSets.map((targetModules) => job(modulesTitle(targetModules), { targetModules }, { steps }));
  const sweep = ranks.flatMap((r) => alphas.map((alpha) => job(`r = ${r}, alpha = ${alpha}`, { r, alpha }, { steps })));

  const results = new Map<Job, Trained & FinderResult>();
  const of = (job: Job) => results.get(job);
  const jobs = [...Object.values(parts), ...modules, ...sweep];
  for await (const { job, result } of runJobs<Trained & FinderResult>(jobs, { keep: setting.keep })) {
    results.set(job, result);
    tell.line(told(job.name, result));
    const [plain, dropped, whole, halves] = [of(parts.plain), of(parts.dropped), of(parts.whole), of(parts.halves)];
    tell.result({
      ...(of(parts.finder) && { finder: of(parts.finder) }),
      ...(plain && dropped && {
        overfitting: { examples: small.examples, dropout, patience, ...overfit(plain, dropped, patience) },
      }),
      modules: modules.filter(of).map((job) => (
        { modules: job.name, parameters: of(job)!.parameters, ...last(of(job)!) })),
      sweep: sweep.filter(of).map((job) => ({ ...(job.options as unknown as Training).lora, ...last(of(job)!) })),
      ...(whole && halves && { accumulation: {
        losses: whole.losses,
        largestDifference: Math.max(...whole.losses.map((loss, i) => Math.abs(loss - halves.losses[i]!))),
      } }),
    });
  }
}

/** Both curves, where early stopping ends the first, and its best looks by loss and by exact match. */
function overfit(plain: Trained, dropped: Trained, patience: number): object {
  const stopping = new EarlyStopping([], patience);
  const stop = plain.looks.find(({ loss }) => (stopping.look(loss), stopping.isOver));
  const best = (better: (a: Look, b: Look) => boolean) =>
    plain.looks.reduce((best, look) => (better(look, best) ? look : best));
  return {
    plain: plain.looks, dropped: dropped.looks, training: plain.losses,
    stopped: stop ?? null,
    bestLoss: best((a, b) => a.loss < b.loss),
    bestMatch: best((a, b) => a.exactMatch > b.exactMatch),
  };
}

const last = ({ looks }: Trained): Look => looks.at(-1)!;

function modulesTitle(modules: typeof moduleSets[number]): string {
  return modules === 'all-linear' ? 'todas las lineales' : modules.map((name) => name.replace('_proj', '')).join(', ');
}

function told(name: string, { losses, looks, suggestion }: Trained & FinderResult): string {
  if (suggestion !== undefined) return `${name}: la pérdida cae más deprisa en ${formatSignificant(suggestion, 2)}`;
  const end = looks.at(-1);
  if (!end) return `${name}: pérdida de cada paso, ${losses.map((loss) => formatNumber(loss, 4, true)).join('; ')}`;
  const { loss, exactMatch } = end;
  return `${name}: pérdida ${formatNumber(loss, 3, true)}, acierto ${formatPercent(exactMatch)}`;
}
