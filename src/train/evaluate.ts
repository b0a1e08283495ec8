import * as tf from '@tensorflow/tfjs';
import type { Tokenizer } from '../data/tokenizer.ts';
import { makeBatch } from '../data/batches.ts';
import type { Example } from '../data/batches.ts';
import { generate } from '../model/generate.ts';
import { inference } from '../model/llama.ts';
import type { LlamaModel } from '../model/llama.ts';
import type { Evaluation } from '../runs/events.ts';
import { crossEntropy } from '../tensor/ops.ts';
import { answerLogits } from './gradients.ts';

/** How examples fare when each token of their answers is predicted from the true ones before it. */
export interface Scores {
  /** Mean cross-entropy over the predicted tokens, in nats. */
  readonly loss: number;
  /**
   * Share of the examples of which every token is the likeliest one. Those, and no others, greedy generation gives
   * token for token: it meets the true text at every step. No text is generated here to know it.
   */
  readonly exactMatch: number;
}

/** Loss and exact match of the labelled tokens of some examples, by one pass over them. */
export async function score(
  model: LlamaModel, examples: readonly Example[], padId: number, batchSize = 32,
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
      const logits = answerLogits(model, batch, inference); // (rows, vocab)
      return { loss: crossEntropy(logits, labels, 1), likeliest: logits.argMax<tf.Tensor1D>(1) };
    });
    sum += (await loss.data())[0]!;
    count += rows.length;
    const found = await likeliest.data();
    const missed = rows.filter((row, i) => found[i] !== batch.labels[row]);
    right += batch.batchSize - new Set(missed.map((row) => Math.floor(row / batch.seqLength))).size;
    tf.dispose([loss, likeliest]);
  }
  return { loss: sum / count, exactMatch: right / examples.length };
}

/**
 * Mean cross-entropy over the predicted tokens of some examples, in nats.
 * With labels on answers alone it is the answer loss; on whole texts, the language-modelling loss.
 */
export async function meanLoss(
  model: LlamaModel, examples: readonly Example[], padId: number, batchSize?: number,
): Promise<number> {
  return (await score(model, examples, padId, batchSize)).loss;
}

/** exp(loss), kept to what JSON can hold: records have no infinity. */
export function perplexity(loss: number): number {
  return Math.min(Math.exp(loss), Number.MAX_VALUE);
}

export interface HeldOutResult extends Evaluation {
  /** What the model answered to each question. */
  readonly answers: string[];
}

/**
 * Asks the held-out questions: loss and perplexity of the true answers, and the share that greedy
 * generation answers word for word.
 */
export async function evaluate(
  model: LlamaModel, heldOut: readonly Example[], tokenizer: Tokenizer,
): Promise<HeldOutResult> {
  const loss = await meanLoss(model, heldOut, tokenizer.padId);
  const expected = heldOut.map(({ tokens, promptLength }) =>
    tokenizer.decode([...tokens.subarray(promptLength)]).trim());
  const longest = Math.max(...heldOut.map((example) => example.tokens.length - example.promptLength));
  const generated = await generate(
    model, heldOut.map((example) => [...example.tokens.subarray(0, example.promptLength)]),
    // One token more than the longest true answer is enough to tell a wrong one.
    { maxNewTokens: longest + 1, eosIds: tokenizer.eosIds },
  );
  const answers = generated.map((ids) => tokenizer.decode(ids).trim());
  const right = answers.filter((answer, i) => answer === expected[i]).length;
  return {
    loss,
    perplexity: perplexity(loss),
    exactMatch: right / heldOut.length,
    count: heldOut.length,
    answers,
  };
}
