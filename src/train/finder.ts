import { UserError } from '../errors.ts';
import type { Trainable } from '../peft/trainable.ts';
import { Diverged } from './diverged.ts';
import { DECADES } from './schedule.ts';
import { train } from './train.ts';
import type { TrainData, TrainOptions } from './train.ts';

export interface FinderOptions {
  /** Steps of the climb. */
  readonly steps: number;
  /** The rate of its last step; the first one's lies five decades under it. */
  readonly highest: number;
}

const finderDefaults: FinderOptions = { steps: 50, highest: 1 };

export interface FinderPoint {
  readonly learningRate: number;
  /** Of that step's batch, and the mean of the steps so far, the latest weighing most. */
  readonly loss: number;
  readonly smoothLoss: number;
}

export interface FinderResult {
  readonly points: readonly FinderPoint[];
  /** The rate at which the loss falls fastest. */
  readonly suggestion: number;
}

/** Weight of the past in the smoothed loss. */
const SMOOTHING = 0.8;
/** The climb is over when the smoothed loss is so many times its least. */
const DIVERGED = 3;

/**
 * The learning-rate range test (Smith, 2017, "Cyclical learning rates for training neural networks"): a short training
 * whose rate climbs by the same factor at every step, until the loss takes off. Where it falls fastest is a good rate
 * to train with. The parameters are put back as they were.
 *
 * @param training options of the training that a rate is sought for, such as its batch size
 * @param show hears each point as it comes
 * @throws UserError as `train`, but for a loss that ends the climb by being no number; and when it is stopped before
 *   its first step
 */
export async function findLearningRate(
  trainable: Trainable, { tokenizer, train: examples }: TrainData, training: Partial<TrainOptions> = {},
  options: Partial<FinderOptions> = {}, show: (point: FinderPoint) => void = () => {},
): Promise<FinderResult> {
  const { steps, highest } = { ...finderDefaults, ...options };
  const held = [...trainable.parameters.map(({ values }) => values), ...trainable.hooks?.state?.values() ?? []];
  const before = held.map((values) => values.slice());
  const points: FinderPoint[] = [];
  let mean = 0;
  try {
    const run = train(trainable, { tokenizer, train: examples, heldOut: [] }, {
      ...training, steps, learningRate: highest, schedule: 'exponential', checkpointFile: undefined, resume: false,
      patience: undefined,
    });
    for await (const event of run) {
      if (event.type !== 'step') continue;
      const { step, learningRate, loss } = event;
      mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
      const point = { learningRate, loss, smoothLoss: mean / (1 - SMOOTHING ** step) };
      points.push(point);
      show(point);
      if (point.smoothLoss > DIVERGED * Math.min(...points.map(({ smoothLoss }) => smoothLoss))) break;
    }
  } catch (error) {
    if (!(error instanceof Diverged) || points.length === 0) throw error; // where some climbs end
  } finally {
    held.forEach((values, i) => values.set(before[i]!));
    trainable.parameters.forEach((parameter) => parameter.upload());
  }
  if (points.length === 0) {
    throw new UserError('La búsqueda de la tasa de aprendizaje se paró antes de dar un paso: repítela para que proponga una.');
  }
  return { points, suggestion: steepest(points, steps) };
}

/**
 * The rate where the smoothed loss falls fastest by the logarithm of the rate, taken over half a decade, or over all
 * there is of a climb that ended sooner.
 *
 * @param steps in which all decades would have been climbed
 */
function steepest(points: readonly FinderPoint[], steps: number): number {
  const quarter = Math.round((steps - 1) / DECADES / 4);
  const span = Math.max(1, Math.min(quarter, Math.floor((points.length - 1) / 2)));
  let [best, slope] = [points[0]!.learningRate, Infinity];
  for (let i = span; i + span < points.length; i++) {
    const [from, to] = [points[i - span]!, points[i + span]!];
    const fall = (to.smoothLoss - from.smoothLoss) / Math.log(to.learningRate / from.learningRate);
    if (fall < slope) [best, slope] = [points[i]!.learningRate, fall];
  }
  return best;
}
