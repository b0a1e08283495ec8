import * as tf from '@tensorflow/tfjs';
import type { Tokenizer } from '../data/tokenizer.ts';
import { makeBatch } from '../data/batches.ts';
import type { Example } from '../data/batches.ts';
import { generate } from '../model/generate.ts';
import { inference } from '../model/llama.ts';
import type { LlamaModel } from '../model/llama.ts';
import type { Evaluation } from '../runs/events.ts';
import { crossEntropy } from '../tensor/ops.ts';
import { answerStates, logitsByParts } from './gradients.ts';

/** How examples fare when each token of their answers is predicted from the true ones before it. */
export interface Scores {
  /** Mean cross-entropy over the predicted tokens, in nats. */
  readonly loss: number;
  /**
   * Share of the examples of which every token, up to the end, is the likeliest one. Those, and no others, greedy
   * generation gives token for token: it meets the true text at every step. No text is generated here to know it.
   */
  readonly exactMatch: number;
}

type Ids = Pick<Tokenizer, 'padId' | 'eosIds'>;

/** Loss and exact match of the labelled tokens of some examples, by one pass over them. */
export async function score(
  model: LlamaModel, examples: readonly Example[], { padId, eosIds }: Ids, batchSize = 32,
): Promise<Scores> {
  const byLength = [...examples].sort((a, b) => a.tokens.length - b.tokens.length);
  let sum = 0;
  let count = 0;
  let right = 0;
  for (let start = 0; start < byLength.length; start += batchSize) {
    const batch = makeBatch(byLength.slice(start, start + batchSize), padId);
    const rows = [...batch.labels.keys()].filter((row) => batch.labels[row]! >= 0);
    const { loss, likeliest } = tf.tidy(() => {
      const labels = tf.tensor1d(rows.map((row) => batch.labels[row]!), 'int32');
      const states = answerStates(model, batch, inference); // (rows, hidden)
      const parts = logitsByParts(model, states, (logits, { first, count }) => ({ // logits: (count, vocab)
        loss: crossEntropy(logits, labels.slice([first], [count]), 1), likeliest: logits.argMax<tf.Tensor1D>(1),
      }));
      return {
        loss: tf.addN(parts.map((part) => part.loss)), likeliest: tf.concat(parts.map((part) => part.likeliest)),
      };
    });
    sum += (await loss.data())[0]!;
    count += rows.length;
    const said = await likeliest.data();
    tf.dispose([loss, likeliest]);
    const over = new Set<number>(); // examples that have said a wrong word, or all
    const missed = new Set<number>();
    rows.forEach((row, i) => {
      const example = Math.floor(row / batch.seqLength);
      const label = batch.labels[row]!;
      const ends = eosIds.includes(label); // what a template writes after it, generation does not
      if (over.has(example)) return;
      if (said[i] !== label && !(ends && eosIds.includes(said[i]!))) missed.add(example);
      if (ends || missed.has(example)) over.add(example);
    });
    right += batch.batchSize - missed.size;
  }
  return { loss: sum / count, exactMatch: right / examples.length };
}

/**
 * Mean cross-entropy over the predicted tokens of some examples, in nats.
 * With labels on answers alone it is the answer loss; on whole texts, the language-modelling loss.
 */
export async function meanLoss(
  model: LlamaModel, examples: readonly Example[], ids: Ids, batchSize?: number,
): Promise<number> {
  return (await score(model, examples, ids, batchSize)).loss;
}

/** exp(loss), kept to what JSON can hold: records have no infinity. */
export function perplexity(loss: number): number {
  return Math.min(Math.exp(loss), Number.MAX_VALUE);
}

/** Loss, perplexity and exact match of the held-out questions. */
export async function evaluate(model: LlamaModel, heldOut: readonly Example[], ids: Ids): Promise<Evaluation> {
  const scores = await score(model, heldOut, ids);
  return { ...scores, perplexity: perplexity(scores.loss), count: heldOut.length };
}

/** Tokens of the longest true answer; one more of the model's is enough to see it go on. */
export function longestAnswer(examples: readonly Example[]): number {
  return Math.max(...examples.map(({ tokens, promptLength }) => tokens.length - promptLength));
}

/** What the model answers to each question, by greedy generation. */
export async function answersTo(
  model: LlamaModel, examples: readonly Example[], tokenizer: Tokenizer, maxNewTokens: number,
): Promise<string[]> {
  const prompts = examples.map(({ tokens, promptLength }) => [...tokens.subarray(0, promptLength)]);
  const generated = await generate(model, prompts, { maxNewTokens, eosIds: tokenizer.eosIds });
  return generated.map((ids) => tokenizer.decode(ids).trim());
}
