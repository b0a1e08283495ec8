import * as tf from '@tensorflow/tfjs';
import type { Scalar, Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs';
import { IGNORED } from '../data/batches.ts';
import type { Batch } from '../data/batches.ts';
import { causalPlacement, disposePlacement, hiddenStates, placementTensors } from '../model/llama.ts';
import type { LlamaModel, Pass, Placement } from '../model/llama.ts';
import { DenseWeight } from '../model/weights.ts';
import type { Parameter } from '../model/weights.ts';
import type { Graphs } from '../tensor/graph.ts';
import { crossEntropy, gatherRows, headCrossEntropy } from '../tensor/ops.ts';
import { rowRanges } from '../tensor/frozen.ts';
import type { Trainable } from '../peft/trainable.ts';

export interface GradientOptions {
  readonly pass: Pass;
  /** What each token's loss counts for: 1 / (answer tokens of the effective batch). */
  readonly scale: number;
  /** Of the answer tokens' logits (n, vocab) and those tokens (n); their cross-entropy times `scale` if not said. */
  readonly loss?: (logits: Tensor2D, labels: Tensor1D) => Scalar;
  /** Keep only each block's input and compute the block again on the way back. */
  readonly checkpointing: boolean;
  /** Blocks from one kept input to the next, which are then computed again together: 1 if not said; not with graphs. */
  readonly segment?: number | undefined;
  /**
   * Past the last block's attention, compute the answers' rows alone: nobody looks at the others. Its dropout then
   * draws other masks. Not with graphs, each of which is of one shape.
   */
  readonly answersOnly?: boolean | undefined;
  /** Runs each block as a graph: on native TensorFlow and on WebGPU, with checkpointing. */
  readonly graphs?: Graphs | undefined;
}

export interface LossAndGradients {
  /** What `options.loss` gave. */
  readonly loss: number;
  /** One a parameter, in the order of `parameters`; the caller disposes them. */
  readonly gradients: Tensor[];
  /** Bytes of block inputs kept between forward and backward; 0 without checkpointing. */
  readonly checkpointBytes: number;
}

/**
 * Loss of one batch and its gradient with respect to every trainable parameter. No value is read before all is
 * computed: a GPU is not waited for in between, and a page has no other way to read than to wait.
 */
export async function lossAndGradients(
  trainable: Trainable, given: Batch, options: GradientOptions,
): Promise<LossAndGradients> {
  const { config } = trainable.base;
  const batch = options.graphs ? padded(given) : given;
  const place = causalPlacement(config, batch.batchSize, batch.seqLength);
  const ids = tf.tensor1d(batch.tokens, 'int32');
  const targets = answerTargets(batch);
  try {
    const walk = options.checkpointing ? backwardByBlocks : backwardOnOneTape;
    const { loss, ...found } = walk(trainable, ids, targets, place, options);
    try {
      return { loss: (await loss.data())[0]!, ...found };
    } catch (error) { // a GPU that is lost
      tf.dispose(found.gradients);
      throw error;
    } finally {
      loss.dispose();
    }
  } finally {
    disposePlacement(place);
    tf.dispose([ids, targets.rows, targets.labels]);
  }
}

/** The same, the loss not read yet. */
type Walked = Omit<LossAndGradients, 'loss'> & { readonly loss: Tensor };

/** Sequences are this long, or twice, three times… as long: a graph is of one shape, and there should be few. */
const LENGTH_STEP = 32;

/** Longer by tokens that nobody sees: they come after the text. */
function padded(batch: Batch): Batch {
  const { batchSize, seqLength } = batch;
  const longer = Math.ceil(seqLength / LENGTH_STEP) * LENGTH_STEP;
  const widen = (values: Int32Array, filling: number) => {
    const wide = new Int32Array(batchSize * longer).fill(filling);
    for (let row = 0; row < batchSize; row++) {
      wide.set(values.subarray(row * seqLength, (row + 1) * seqLength), row * longer);
    }
    return wide;
  };
  return { ...batch, tokens: widen(batch.tokens, 0), labels: widen(batch.labels, IGNORED), seqLength: longer };
}

export interface Targets {
  /** int32 (n): the rows of (batch·seq) whose next token belongs to an answer, and that token. */
  readonly rows: Tensor1D;
  readonly labels: Tensor1D;
}

/** Where a batch's answers are predicted, and what. The caller disposes both tensors, or a `tf.tidy` around it. */
export function answerTargets({ labels }: Batch): Targets {
  const rows: number[] = [];
  labels.forEach((label, row) => {
    if (label >= 0) rows.push(row);
  });
  return { rows: tf.tensor1d(rows, 'int32'), labels: tf.tensor1d(rows.map((row) => labels[row]!), 'int32') };
}

/**
 * Mean and head only where an answer is predicted: the prompt's logits are never computed.
 * x: (batch·seq, hidden); where no `rows` are given, the answers' alone (n, hidden).
 */
export function answerLoss(
  model: LlamaModel, x: Tensor2D, { rows, labels }: Pick<Targets, 'labels'> & Partial<Targets>,
  { scale, loss }: Pick<GradientOptions, 'scale' | 'loss'>,
): Scalar {
  const answers = rows ? gatherRows(x, rows) : x; // (n, hidden)
  if (loss) return loss(model.head(answers), labels);
  const { headWeight } = model;
  if (tf.getBackend() === 'tensorflow' && headWeight instanceof DenseWeight) {
    return headCrossEntropy(model.lastNorm(answers), headWeight.matrix, labels, scale);
  }
  return tf.addN(logitsByParts(model, answers, (logits, { first, count }) =>
    crossEntropy(logits, labels.slice([first], [count]), scale)));
}

/**
 * The head's logits, which are a pass's largest tensor, by so many rows at a time as a kernel can be given.
 *
 * @param x (rows, hidden), after the last block
 * @param take is given the logits (count, vocab) of the rows from `first` on
 */
export function logitsByParts<T>(
  model: LlamaModel, x: Tensor2D,
  take: (logits: Tensor2D, part: { readonly first: number; readonly count: number }) => T,
): T[] {
  const [rows, hidden] = x.shape;
  return rowRanges(rows, 4 * model.config.vocabSize).map((part) => {
    const { first, count } = part;
    return take(model.head(count === rows ? x : x.slice([first, 0], [count, hidden])), part);
  });
}

/** What gives the answer tokens' logits: (n, hidden), by a forward pass alone. Called inside `tf.tidy`. */
export function answerStates(model: LlamaModel, batch: Batch, pass: Pass, answersOnly = true): Tensor2D {
  const { rows } = answerTargets(batch);
  const x = hiddenStates(model, batch.tokens, batch.batchSize, pass, answersOnly ? rows : undefined);
  return answersOnly ? x : gatherRows(x, rows);
}

/** The answer tokens' logits (n, vocab), by a forward pass alone. Called inside `tf.tidy`. */
export function answerLogits(model: LlamaModel, batch: Batch, pass: Pass, answersOnly = true): Tensor2D {
  return model.head(answerStates(model, batch, pass, answersOnly));
}

/** A batch's way through the blocks to its loss: with `answersOnly`, the last block gives the answers' rows alone. */
function wayOf(base: LlamaModel, targets: Targets, place: Placement, options: GradientOptions) {
  const last = base.config.layers - 1;
  const rows = options.answersOnly && !options.graphs ? targets.rows : undefined;
  return {
    block: (layer: number, x: Tensor2D) =>
      base.block(layer, x, place, options.pass, { rows: layer === last ? rows : undefined }),
    loss: (x: Tensor2D) => answerLoss(base, x, rows ? { labels: targets.labels } : targets, options),
  };
}

/**
 * Gradient checkpointing (Chen et al., 2016) with a checkpoint at each block's input, or at each segment's: segments
 * of √n blocks keep least in all. The forward runs without a tape up to the last one; the backward takes them in
 * reverse, and records, differentiates and frees one at a time. Dequantised weights live for one block, too.
 */
function backwardByBlocks(
  { base, parameters }: Trainable, ids: Tensor1D, targets: Targets, place: Placement, options: GradientOptions,
): Walked {
  const { pass, graphs, segment = 1 } = options;
  const { layers } = base.config;
  const { block, loss: lossOf } = wayOf(base, targets, place, options);
  const gradients = new Map<Parameter, Tensor>();
  const add = (parameter: Parameter, gradient: Tensor) => {
    const before = gradients.get(parameter);
    gradients.set(parameter, before ? tf.tidy(() => before.add(gradient)) : gradient);
    if (before) tf.dispose([before, gradient]); // a tied embedding gets one from the head and one from the input
  };
  const stage = (prefix: string) => parameters.filter(({ name }) => name.startsWith(prefix));
  const embedding = stage('model.embed_tokens.');
  const ending = [...stage('model.norm.'), ...parameters.filter((parameter) => parameter === base.headWeight)];

  const segments = Array.from({ length: Math.ceil(layers / segment) }, (_, i) =>
    Array.from({ length: Math.min(segment, layers - i * segment) }, (_, j) => i * segment + j));
  const blockCall = (name: string, member: number, args: Tensor[]) =>
    ({ name, member, args: [...args, ...placementTensors(place)], seed: pass.seed });

  // The last one runs on into the head: to compute it once before and once again on the way back would be in vain.
  // But a graph of both would serve for one number of answers only.
  const joined = graphs ? -1 : segments.length - 1;
  const inputs = [tf.tidy(() => base.embed(ids))]; // each (batch·seq, hidden)
  for (let i = 0; i < segments.length && i !== joined; i++) {
    const input = inputs[i]!;
    inputs.push(graphs
      ? graphs.run(blockCall('forward', i, [input]), () => [block(i, input)])[0] as Tensor2D
      : tf.tidy(() => segments[i]!.reduce((x, layer) => tf.tidy(() => block(layer, x)), input)));
  }
  const output = graphs && inputs.pop();
  const checkpointBytes = inputs.reduce((sum, input) => sum + input.size * 4, 0);

  let loss!: Tensor;
  let dx: Tensor | undefined; // (batch·seq, hidden), of the last output that has been taken back
  if (output) {
    const { value, gradients: found } = differentiate([output, ...tensors(ending)], () => lossOf(output));
    loss = value;
    output.dispose();
    dx = found.shift();
    ending.forEach((parameter, i) => add(parameter, found[i]!));
  }
  for (let i = segments.length - 1; i >= 0; i--) {
    const input = inputs[i]!;
    const inside = segments[i]!.flatMap((layer) => stage(`model.layers.${layer}.`));
    const trained = [...inside, ...(i === joined ? ending : [])];
    // Nothing below the first block learns unless the embedding does.
    const passOn = i > 0 || embedding.length > 0;
    const again = () => differentiate([...(passOn ? [input] : []), ...tensors(trained)], () => {
      const y = segments[i]!.reduce((x, layer) => block(layer, x), input);
      return i === joined ? lossOf(y) : y;
    }, dx);
    let found: Tensor[];
    if (graphs) {
      const name = passOn ? 'backward' : 'first backward'; // which gives one gradient less: another graph
      found = graphs.run(blockCall(name, i, [input, dx!]), () => again().gradients);
    } else {
      const { value, gradients } = again();
      if (i === joined) loss = value;
      else value.dispose();
      found = gradients;
    }
    tf.dispose([input, ...(dx ? [dx] : [])]);
    dx = passOn ? found.shift() : undefined;
    trained.forEach((parameter, at) => add(parameter, found[at]!));
  }
  if (embedding.length > 0) {
    const input = differentiate(tensors(embedding), () => base.embed(ids), dx);
    tf.dispose([input.value, dx!]);
    add(embedding[0]!, input.gradients[0]!);
  }
  return { loss, gradients: parameters.map((parameter) => gradients.get(parameter)!), checkpointBytes };
}

/** The plain way, for comparison: every intermediate of every block is alive until the backward is done. */
function backwardOnOneTape(
  { base, parameters }: Trainable, ids: Tensor1D, targets: Targets, place: Placement, options: GradientOptions,
): Walked {
  const { block, loss: lossOf } = wayOf(base, targets, place, options);
  const { value, gradients } = differentiate(tensors(parameters), () => {
    let x = base.embed(ids);
    for (let layer = 0; layer < base.config.layers; layer++) x = block(layer, x);
    return lossOf(x);
  });
  return { loss: value, gradients, checkpointBytes: 0 };
}

/** Value of `f` and its gradients with respect to tensors that `f` encloses, given the gradient `dy` of its value. */
export function differentiate(xs: Tensor[], f: () => Tensor, dy?: Tensor): { value: Tensor; gradients: Tensor[] } {
  if (xs.length === 0) return { value: tf.tidy(f), gradients: [] };
  const { value, grads } = tf.engine().gradients(f, xs, dy as Tensor);
  // What a pass does not draw, as an expert of a mixture, has no gradient.
  return { value, gradients: grads.map((gradient: Tensor | null, i) => gradient ?? tf.zerosLike(xs[i]!)) };
}

function tensors(parameters: readonly Parameter[]): Tensor[] {
  return parameters.map((parameter) => parameter.tensor());
}
