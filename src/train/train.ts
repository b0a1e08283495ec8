import { rmSync } from 'node:fs';
import { answerTokens, epochOrder, makeBatch } from '../data/batches.ts';
import type { Batch, Example } from '../data/batches.ts';
import { checkTokenizer } from '../data/tokenizer.ts';
import type { Tokenizer } from '../data/tokenizer.ts';
import { UserError } from '../errors.ts';
import { settle } from '../model/weights.ts';
import type { Trainable } from '../peft/trainable.ts';
import { Random } from '../random.ts';
import type { Evaluation, MemoryUse, TrainEvent } from '../runs/events.ts';
import { graphMode } from '../tensor/graph-mode.ts';
import { TensorMemory } from '../tensor/memory.ts';
import { adamwDefaults, clipScale } from './adamw.ts';
import type { OptimizerName } from './adamw.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { consistentLossAndGradients } from './consistency.ts';
import { Diverged } from './diverged.ts';
import { answersTo, evaluate, longestAnswer } from './evaluate.ts';
import { lossAndGradients } from './gradients.ts';
import { makeOptimizer } from './make-optimizer.ts';
import { learningRate } from './schedule.ts';
import type { Schedule } from './schedule.ts';
import { EarlyStopping } from './stopping.ts';

export interface TrainOptions {
  /** May be a fraction. */
  readonly epochs: number;
  /** Optimizer steps in place of `epochs`, as transformers' `max_steps`. */
  readonly steps?: number | undefined;
  readonly batchSize: number;
  /** Micro-batches of `batchSize` summed before each update. */
  readonly accumulation: number;
  readonly learningRate: number;
  /** Share of all steps in which the learning rate climbs. */
  readonly warmup: number;
  readonly schedule: Schedule;
  readonly optimizer: OptimizerName;
  readonly weightDecay: number;
  /** Largest global gradient norm. */
  readonly clip: number;
  readonly checkpointing: boolean;
  readonly seed: number;
  /** Bytes of a page of optimizer states, and of all that may stay in memory: see `OptimizerOptions`. */
  readonly pageBytes: number;
  readonly residentBytes?: number | undefined;
  /** Where the run keeps what it needs to go on; nothing is kept without it. */
  readonly checkpointFile?: string | undefined;
  /** Steps between two checkpoints. */
  readonly checkpointEvery: number;
  /** Steps between two looks at the validation examples, where there are any. */
  readonly validateEvery: number;
  /**
   * Early stopping: the run ends after so many looks in a row without a lower validation loss. With it, what is left in
   * the end are the parameters of the best look. Undefined: all steps are taken, and the last parameters are left.
   */
  readonly patience?: number | undefined;
  /** What else decides the losses, by the name of its option: a checkpoint of other inputs is refused. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Go on from `checkpointFile`. */
  readonly resume: boolean;
  /** How many before/after answers to show. */
  readonly samples: number;
  /** Ends the run after the current step, keeping a checkpoint. */
  readonly signal?: AbortSignal | undefined;
}

export const trainDefaults: TrainOptions = {
  epochs: 1, batchSize: 8, accumulation: 1, learningRate: 3e-3, warmup: 0.05, schedule: 'cosine',
  optimizer: adamwDefaults.optimizer, weightDecay: 0, clip: 1, checkpointing: true, seed: 42,
  pageBytes: adamwDefaults.pageBytes, checkpointEvery: 25, validateEvery: 10, inputs: {}, resume: false, samples: 6,
};

export interface TrainData {
  readonly tokenizer: Tokenizer;
  readonly train: readonly Example[];
  /** What early stopping looks at: not trained on, and not what the run is examined by in the end. */
  readonly validation?: readonly Example[];
  /** Never trained on. Empty: nothing is evaluated. */
  readonly heldOut: readonly Example[];
}

/**
 * Trains, and tells what happens as it happens. The parameters given are changed in place.
 *
 * @throws UserError when the tokenizer is not the model's, or the checkpoint not this run's, or there is nothing for
 *   early stopping to look at
 * @throws Diverged when the loss stops being a number: the parameters are then the last ones that gave one
 */
export async function* train(
  trainable: Trainable, data: TrainData, options: Partial<TrainOptions> = {},
): AsyncGenerator<TrainEvent> {
  checkTokenizer(data.tokenizer, trainable.base.config.vocabSize);
  const o: TrainOptions = { ...trainDefaults, ...options };
  if (o.patience !== undefined && !data.validation?.length) {
    throw new UserError('--patience necesita ejemplos de validación que mirar: quítala, o da más ejemplos con --examples.');
  }
  const effectiveBatch = o.batchSize * o.accumulation;
  const stepsPerEpoch = Math.ceil(data.train.length / effectiveBatch);
  const epochs = o.steps === undefined ? o.epochs : o.steps / stepsPerEpoch;
  const steps = Math.max(1, Math.round(epochs * stepsPerEpoch));
  const fingerprint = JSON.stringify({
    epochs, batchSize: o.batchSize, accumulation: o.accumulation, learningRate: o.learningRate,
    warmup: o.warmup, schedule: o.schedule, optimizer: o.optimizer, weightDecay: o.weightDecay, clip: o.clip,
    seed: o.seed, examples: data.train.length, ...o.inputs,
    ...(o.patience !== undefined && { patience: o.patience, validateEvery: o.validateEvery }),
  });
  const { parameters, hooks = {} } = trainable;
  hooks.start?.(steps);
  const optimizer = makeOptimizer(parameters, o, hooks);
  const memory = new TensorMemory();
  const { adapter } = trainable.base;
  const graphs = o.checkpointing && (adapter?.takesSameSteps ?? !adapter) ? graphMode() : undefined;
  const events: TrainEvent[] = []; // what a resumed run has already told
  const tell = (event: TrainEvent) => (events.push(event), event);
  const stopping = o.patience === undefined ? undefined : new EarlyStopping(parameters, o.patience);
  const kept = { parameters: [...parameters, ...stopping?.best ?? []], hooks };
  let keptAt: number | undefined; // the step of the checkpoint
  let checkpointBytes = 0;
  let peakTensors = 0;

  try {
    if (o.resume) {
      const told = loadCheckpoint(o.checkpointFile!, kept, optimizer, fingerprint);
      events.push(...told.map((event) => (event.type === 'start' ? { ...event, resumedAt: optimizer.steps } : event)));
      keptAt = optimizer.steps;
      looks().forEach((loss) => stopping?.look(loss, true));
      yield* events;
    } else {
      yield tell({
        type: 'start', steps, epochs, examples: data.train.length, batchSize: o.batchSize,
        accumulation: o.accumulation, effectiveBatch, resumedAt: 0,
      });
      yield* (await ask('before')).map(tell);
    }
    const secondsBefore = secondsAt(events);
    const stepsBefore = optimizer.steps;
    const began = performance.now();
    memory.resetPeak(); // the peak of training: the examination may take larger batches

    for (let step = stepsBefore + 1; step <= steps && !stopping?.isOver; step++) {
      await new Promise(setImmediate); // lets Ctrl-C be heard
      if (o.signal?.aborted) break;
      const warmupSteps = Math.ceil(o.warmup * steps); // as transformers
      const rate = learningRate(step, steps, { peak: o.learningRate, warmupSteps, schedule: o.schedule });
      const { loss, gradientNorm, tokens } = await update(step, rate);
      const seconds = secondsBefore + (performance.now() - began) / 1000;
      yield tell({
        type: 'step', step, epoch: step / stepsPerEpoch, loss, learningRate: rate, gradientNorm, tokens,
        tokensPerSecond: tokens / Math.max(1e-9, seconds - secondsAt(events)),
        seconds, secondsLeft: seconds / step * (steps - step),
      });
      if (step % o.validateEvery === 0 || step === steps) {
        for (const event of await validate()) yield tell(event);
      }
      if (step % o.checkpointEvery === 0 || step === steps || stopping?.isOver) {
        yield tell({ type: 'memory', step, ...memoryUse() });
        await keepCheckpoint();
      }
    }
    const stopped = optimizer.steps === steps ? 'finished' : stopping?.isOver ? 'early' : 'interrupted';
    if (stopped === 'interrupted') {
      await keepCheckpoint();
    } else {
      await settle(parameters);
      stopping?.restore();
      yield* (await ask('after')).map(tell);
    }
    yield tell({ type: 'done', steps: optimizer.steps, seconds: secondsAt(events), stopped });
  } finally {
    await optimizer.close();
    graphs?.dispose();
    memory.close();
  }

  /** One optimizer step over an effective batch. */
  async function update(step: number, rate: number): Promise<{ loss: number; gradientNorm: number; tokens: number }> {
    const batches = microBatches(step);
    const scale = 1 / answerTokens(batches);
    let loss = 0;
    let tokens = 0;
    for (const [micro, batch] of batches.entries()) {
      const result = await (hooks.consistent ? consistentLossAndGradients : lossAndGradients)(trainable, batch, {
        pass: { training: true, seed: Random.for(o.seed, 'dropout', step, micro).uint32() },
        scale,
        checkpointing: o.checkpointing,
        answersOnly: true,
        graphs,
      });
      loss += result.loss;
      checkpointBytes = Math.max(checkpointBytes, result.checkpointBytes);
      tokens += batch.lengths.reduce((sum, length) => sum + length, 0);
      await optimizer.add(result.gradients);
    }
    const gradientNorm = await optimizer.norm();
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) throw diverged(`en el paso ${step}`);
    optimizer.step(rate, clipScale(gradientNorm, o.clip));
    return { loss, gradientNorm, tokens };
  }

  function microBatches(step: number): Batch[] {
    const epoch = Math.floor((step - 1) / stepsPerEpoch);
    const order = epochOrder(data.train.length, o.seed, epoch);
    const first = ((step - 1) % stepsPerEpoch) * effectiveBatch;
    const chosen = order.slice(first, first + effectiveBatch).map((index) => data.train[index]!);
    const batches: Batch[] = [];
    for (let at = 0; at < chosen.length; at += o.batchSize) {
      batches.push(makeBatch(chosen.slice(at, at + o.batchSize), data.tokenizer.padId));
    }
    return batches;
  }

  /** A look at the validation examples. */
  async function validate(): Promise<TrainEvent[]> {
    if (!data.validation?.length) return [];
    peakTensors = Math.max(peakTensors, memory.peak); // as `resetPeak` above
    await settle(parameters); // for a method that averages them, and for the best ones to be kept
    const figures = await finite(data.validation);
    memory.resetPeak();
    stopping?.look(figures.loss);
    return [{ type: 'evaluation', step: optimizer.steps, when: 'during', ...figures }];
  }

  /** The losses of the looks told so far. */
  function looks(): number[] {
    return events.flatMap((event) => (event.type === 'evaluation' && event.when === 'during' ? [event.loss] : []));
  }

  async function ask(when: 'before' | 'after'): Promise<TrainEvent[]> {
    const { heldOut, tokenizer } = data;
    if (heldOut.length === 0) return [];
    const figures = await finite(heldOut);
    const shown = Random.for(o.seed, 'samples').shuffle(heldOut).slice(0, o.samples);
    const answers = await answersTo(trainable.base, shown, tokenizer, longestAnswer(heldOut) + 1);
    return [
      { type: 'evaluation', step: optimizer.steps, when, ...figures },
      ...shown.map(({ record: { instruction, input, output } }, i): TrainEvent => (
        { type: 'sample', when, instruction, input, expected: output, answer: answers[i]! })),
    ];
  }

  async function finite(examples: readonly Example[]): Promise<Evaluation> {
    const figures = await evaluate(trainable.base, examples, data.tokenizer);
    if (!Number.isFinite(figures.loss)) throw diverged('al evaluar');
    return figures;
  }

  /** Puts back the parameters that gave the last loss, and says so. From those that gave none no run could go on. */
  function diverged(when: string): Diverged {
    if (o.checkpointFile && keptAt === optimizer.steps) rmSync(o.checkpointFile, { force: true });
    const step = optimizer.undo();
    const left = step < optimizer.steps ? ` y queda el adaptador del paso ${step}, el último bueno` : '';
    return new Diverged(when, `se detiene el entrenamiento${left}`);
  }

  function memoryUse(): MemoryUse {
    const { totalBytes, residentBytes, pageIns } = optimizer.stats;
    return {
      base: trainable.base.bytes,
      adapter: parameters.reduce((sum, { bytes }) => sum + bytes, 0),
      optimizer: totalBytes, optimizerResident: residentBytes, optimizerPageIns: pageIns,
      checkpoints: checkpointBytes, peakTensors: Math.max(peakTensors, memory.peak), process: process.memoryUsage().rss,
    };
  }

  async function keepCheckpoint(): Promise<void> {
    if (!o.checkpointFile) return;
    await saveCheckpoint(o.checkpointFile, kept, optimizer, fingerprint, events);
    keptAt = optimizer.steps;
  }
}

/** Seconds of training told so far. */
function secondsAt(events: readonly TrainEvent[]): number {
  return events.findLast((event) => event.type === 'step')?.seconds ?? 0;
}
