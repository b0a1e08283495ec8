import type { Batch } from '../data/batches.ts';
import { LlamaModel } from '../model/llama.ts';
import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { Parameter } from '../model/weights.ts';
import type { Trainable } from '../peft/trainable.ts';
import { Random } from '../random.ts';
import type { TrainEvent } from '../runs/events.ts';
import { sizeOf } from '../shape.ts';
import { clipScale } from './adamw.ts';
import { loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { Diverged } from './diverged.ts';
import { lossAndGradients } from './gradients.ts';
import { makeOptimizer } from './make-optimizer.ts';
import { learningRate } from './schedule.ts';

export interface PretrainOptions {
  readonly steps: number;
  readonly batchSize: number;
  /** Tokens of a row. */
  readonly seqLength: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly weightDecay: number;
  readonly clip: number;
  readonly seed: number;
  /** What else decides the losses, by the name of its option: a checkpoint of other inputs is refused. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly checkpointFile: string;
  readonly checkpointEvery: number;
  readonly resume: boolean;
  readonly signal?: AbortSignal | undefined;
}

export const pretrainDefaults: Omit<PretrainOptions, 'checkpointFile'> = {
  steps: 3000, batchSize: 32, seqLength: 128, learningRate: 2e-3, warmupSteps: 100, weightDecay: 0.1, clip: 1, seed: 42,
  inputs: {}, checkpointEvery: 100, resume: false,
};

/**
 * A model with every weight trainable: normal with σ = 0.02, the two layers that write into the residual
 * stream divided by √(2·layers) (Radford et al., 2019), norms at 1.
 */
export function newModel(config: LlamaConfig, seed: number): Trainable & { parameters: Parameter[] } {
  const random = Random.for(seed, 'weights');
  const residual = 0.02 / Math.sqrt(2 * config.layers);
  const parameters = [...weightShapes(config)].map(([name, shape]) => {
    const values = new Float32Array(sizeOf(shape));
    const sigma = /\.(o_proj|down_proj)\./.test(name) ? residual : 0.02;
    for (let i = 0; i < values.length; i++) values[i] = shape.length === 1 ? 1 : sigma * random.normal();
    return new Parameter(name, values, shape);
  });
  const weights = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return { base: new LlamaModel(config, weights), parameters };
}

/**
 * Trains a whole model on an endless stream of token rows, each predicting its own next tokens.
 * `rows(step)` gives the rows of one step, each of `seqLength` + 1 ids: a function of the step, so that a resumed
 * run sees the same.
 *
 * @throws UserError when the checkpoint is not this run's
 * @throws Diverged when the loss stops being a number: what was kept stays
 */
export async function* pretrain(
  trainable: Trainable, rows: (step: number) => readonly (readonly number[])[], options: PretrainOptions,
): AsyncGenerator<TrainEvent> {
  const { steps, batchSize, seqLength, learningRate: peak, warmupSteps, weightDecay, clip, seed } = options;
  const optimizer = makeOptimizer(trainable.parameters, {
    beta2: 0.95, weightDecay,
    pageBytes: 1 << 20, residentBytes: Number.MAX_SAFE_INTEGER, // a machine that pre-trains has the room
  });
  const fingerprint = JSON.stringify({
    steps, batchSize, seqLength, learningRate: peak, warmupSteps, weightDecay, clip, seed, ...options.inputs,
  });
  let events: TrainEvent[] = [];
  const keep = () => saveCheckpoint(options.checkpointFile, trainable, optimizer, fingerprint, events);
  try {
    if (options.resume) events = loadCheckpoint(options.checkpointFile, trainable, optimizer, fingerprint);
    yield {
      type: 'start', steps, epochs: 1, examples: steps * batchSize, batchSize, accumulation: 1,
      effectiveBatch: batchSize, resumedAt: optimizer.steps,
    };
    const secondsBefore = events.findLast((event) => event.type === 'step')?.seconds ?? 0;
    const began = performance.now();
    const tokens = batchSize * seqLength;
    let before = secondsBefore;
    for (let step = optimizer.steps + 1; step <= steps && !options.signal?.aborted; step++) {
      const { loss, gradients } = await lossAndGradients(trainable, nextTokenBatch(rows(step)), {
        pass: { training: true, seed: step }, scale: 1 / tokens, checkpointing: false,
      });
      await optimizer.add(gradients);
      const gradientNorm = await optimizer.norm();
      if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
        throw new Diverged(
          `en el paso ${step}`, 'se detiene el preentrenamiento, y lo que se había guardado queda como estaba');
      }
      const rate = learningRate(step, steps, { peak, warmupSteps, schedule: 'cosine' });
      optimizer.step(rate, clipScale(gradientNorm, clip));

      const seconds = secondsBefore + (performance.now() - began) / 1000;
      const event: TrainEvent = {
        type: 'step', step, epoch: step / steps, loss, learningRate: rate, gradientNorm, tokens,
        tokensPerSecond: tokens / (seconds - before), seconds, secondsLeft: seconds / step * (steps - step),
      };
      before = seconds;
      if (step === 1 || step % 10 === 0) events.push(event); // a thinned curve is enough to keep
      yield event;
      if (step % options.checkpointEvery === 0 || step === steps) await keep();
      await new Promise(setImmediate); // lets Ctrl-C be heard
    }
    if (options.signal?.aborted) await keep();
    const stopped = optimizer.steps === steps ? 'finished' : 'interrupted';
    yield { type: 'done', steps: optimizer.steps, seconds: before, stopped };
  } finally {
    await optimizer.close();
  }
}

/** Rows of seqLength + 1 ids to inputs and their next tokens. */
function nextTokenBatch(rows: readonly (readonly number[])[]): Batch {
  const seqLength = rows[0]!.length - 1;
  return {
    tokens: Int32Array.from(rows.flatMap((row) => row.slice(0, -1))),
    labels: Int32Array.from(rows.flatMap((row) => row.slice(1))),
    lengths: rows.map(() => seqLength),
    batchSize: rows.length,
    seqLength,
  };
}
