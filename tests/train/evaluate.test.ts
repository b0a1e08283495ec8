import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import type { Example } from '../../src/data/batches.ts';
import { LlamaModel, logits } from '../../src/model/llama.ts';
import { DenseWeight } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { answersTo, evaluate, longestAnswer, meanLoss, score } from '../../src/train/evaluate.ts';
import { testBackend } from '../backend.ts';
import { tinyBase, tinyConfig, tinyExamples, tinyTokenizer } from '../tiny.ts';

await useBackend(testBackend('cpu'));

const model = tinyBase(6); // one that does not say a single letter for ever
const examples = tinyExamples(7, 3);
const { eosId } = tinyTokenizer;

/** −log p of each answer token, by a softmax in float64 over the logits of one whole text. */
function surprises({ tokens, promptLength }: Example): number[] {
  const all = tf.tidy(() => logits(model, tokens, 1).arraySync());
  return [...tokens.keys()].slice(promptLength).map((position) => {
    const row = all[position - 1]!;
    const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
    return Math.log(sum) - row[tokens[position]!]!;
  });
}

/** What the model says after a prompt, one whole pass a token. */
function greedy(prompt: Int32Array, most: number): number[] {
  const text = [...prompt];
  while (text.length < prompt.length + most) {
    const next = tf.tidy(() => logits(model, Int32Array.from(text), 1).argMax(1).arraySync() as number[]).at(-1)!;
    if (next === eosId) break;
    text.push(next);
  }
  return text.slice(prompt.length);
}

describe('the mean loss', () => {
  const each = examples.flatMap(surprises);
  const expected = each.reduce((a, b) => a + b) / each.length;

  it('is over the answers\' tokens, the end token among them', async () => {
    expect(each).toHaveLength(examples.length * 2); // a letter and the end
    expect(await meanLoss(model, examples, tinyTokenizer)).toBeCloseTo(expected, 5);
  });

  it('does not depend on the batches, their padding, or the order', async () => {
    expect(await meanLoss(model, [...examples].reverse(), tinyTokenizer, 3)).toBeCloseTo(expected, 5);
    expect(await meanLoss(model, examples, tinyTokenizer, 1)).toBeCloseTo(expected, 5);
  });
});

describe('the exact match of a score', () => {
  // Each question with what the model says for its answer, all of it or up to its last token.
  const said = examples.map((example) => {
    const prompt = example.tokens.slice(0, example.promptLength);
    return { prompt, answer: greedy(prompt, 3) };
  });
  const asked = (answerOf: (answer: number[], i: number) => number[]) => said.map(({ prompt, answer }, i): Example => (
    { ...examples[i]!, tokens: Int32Array.from([...prompt, ...answerOf(answer, i)]), promptLength: prompt.length }));

  it('is of the answers that greedy generation gives, without generating', async () => {
    expect((await score(model, asked((answer) => answer), tinyTokenizer)).exactMatch).toBe(1);
    const wrong = asked((answer, i) => (i < 2 ? [...answer.slice(0, -1), answer.at(-1) === 5 ? 6 : 5] : answer));
    expect((await score(model, wrong, tinyTokenizer, 3)).exactMatch).toBeCloseTo(5 / 7, 12);
  });

  it('is theirs up to the end: any end will do, and what a template writes after it does not count', async () => {
    const i = said.findIndex(({ answer }) => answer[0] !== answer[1]);
    const [letter, end] = said[i]!.answer as [number, number]; // as if the model ended its answer after one letter
    const other = tinyConfig.vocabSize - 1;
    const example = asked(() => [letter, other, other])[i]!;
    expect([letter, end]).not.toContain(other);
    expect((await score(model, [example], { ...tinyTokenizer, eosIds: [end, other] })).exactMatch).toBe(1);
    expect((await score(model, [example], { ...tinyTokenizer, eosIds: [end] })).exactMatch).toBe(0);
    for (const after of [3, 4, 5].filter((id) => id !== end)) { // of which the model would say one at most
      const longer = asked(() => [letter, other, after])[i]!;
      expect((await score(model, [longer], { ...tinyTokenizer, eosIds: [end, other] })).exactMatch).toBe(1);
    }
  });

  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors;
    await score(model, examples, tinyTokenizer, 2);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('the answers', () => {
  it('are what greedy generation says to each question, in their order', async () => {
    expect(longestAnswer(examples)).toBe(2); // a letter and the end
    expect(await answersTo(model, examples, tinyTokenizer, 3)).toEqual(examples.map(({ tokens, promptLength }) =>
      tinyTokenizer.decode(greedy(tokens.slice(0, promptLength), 3))));
  });
});

describe('an evaluation', () => {
  it('gives loss, perplexity and exact match', async () => {
    const scores = await score(model, examples, tinyTokenizer);
    expect(await evaluate(model, examples, tinyTokenizer))
      .toEqual({ ...scores, perplexity: Math.exp(scores.loss), count: 7 });
  });

  it('of a model that is hopelessly wrong still has a perplexity that JSON can hold', async () => {
    const wrong = tinyBase();
    const norm = new DenseWeight(new Float32Array(tinyConfig.hiddenSize).fill(1e5), [tinyConfig.hiddenSize]);
    const sure = new LlamaModel(wrong.config, new Map([...wrong.weights, ['model.norm.weight', norm]]));
    const { loss, perplexity } = await evaluate(sure, examples, tinyTokenizer);
    expect(loss).toBeGreaterThan(1000);
    expect(perplexity).toBe(Number.MAX_VALUE);
  });
});
