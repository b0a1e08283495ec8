import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { Batch } from '../data/batches.ts';
import { causalPlacement, disposePlacement } from '../model/llama.ts';
import type { Pass } from '../model/llama.ts';
import type { Parameter } from '../model/weights.ts';
import type { Trainable } from '../peft/trainable.ts';
import { answerLoss, answerTargets } from '../train/gradients.ts';
import type { Range } from './job.ts';

/** A piece of the model that is computed, and differentiated, by itself: the embedding, a block, or head and loss. */
export interface Stage {
  readonly name: string;
  readonly parameters: readonly Parameter[];
  /** x: (batch·seq, hidden), which the embedding does not look at → the same shape; of the head, the loss. */
  run(x: Tensor2D): Tensor;
}

/** The name of what is in no block: embedding, final norm and head, which may share a matrix. */
export const root = 'root';

/** The stage that a weight or an adapter's matrix belongs to: its block, or the root. */
export const unitOf = (name: string): string => /^model\.layers\.\d+/.exec(name)?.[0] ?? root;

/** Whether a rank with these blocks has a weight. A tied head is a copy of the embedding where the two are apart. */
export function owns({ from, to, isFirst, isLast }: Range, tiedHead: boolean, name: string): boolean {
  const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
  if (layer !== undefined) return Number(layer) >= from && Number(layer) < to;
  const isEmbedding = name === 'model.embed_tokens.weight';
  return (isFirst && isEmbedding) || (isLast && (!isEmbedding || tiedHead));
}

/** Calls back with the stages of a rank for one batch, in order; what they share is freed after. */
export function withStages<T>(
  { base, parameters }: Trainable, { from, to, isFirst, isLast }: Range, batch: Batch, pass: Pass, scale: number,
  use: (stages: readonly Stage[]) => T,
): T {
  const place = causalPlacement(base.config, batch.batchSize, batch.seqLength);
  const ids = tf.tensor1d(batch.tokens, 'int32');
  const targets = answerTargets(batch);
  const having = (of: (parameter: Parameter) => boolean) => parameters.filter(of);
  const stages: Stage[] = [];
  if (isFirst) {
    stages.push({
      name: root, parameters: having(({ name }) => name.startsWith('model.embed_tokens.')), run: () => base.embed(ids),
    });
  }
  for (let layer = from; layer < to; layer++) {
    const name = `model.layers.${layer}`;
    stages.push({
      name, parameters: having((parameter) => unitOf(parameter.name) === name),
      run: (x) => base.block(layer, x, place, pass),
    });
  }
  if (isLast) {
    stages.push({
      name: root,
      parameters: having((parameter) => parameter.name.startsWith('model.norm.') || parameter === base.headWeight),
      run: (x) => answerLoss(base, x, targets, { scale }),
    });
  }
  try {
    return use(stages);
  } finally {
    disposePlacement(place);
    tf.dispose([ids, targets.rows, targets.labels]);
  }
}
