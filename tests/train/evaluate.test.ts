import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import type { Example } from '../../src/data/batches.ts';
import type { Tokenizer } from '../../src/data/tokenizer.ts';
import { LlamaModel, logits } from '../../src/model/llama.ts';
import { DenseWeight } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { evaluate, meanLoss, score } from '../../src/train/evaluate.ts';
import { testBackend } from '../backend.ts';
import { tinyBase, tinyConfig, tinyExamples, tinyTokenizer } from '../tiny.ts';

await useBackend(testBackend('cpu'));

const model = tinyBase(6); // one that does not say a single letter for ever
const examples = tinyExamples(7, 3);
const { padId, eosId } = tinyTokenizer;

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
    expect(await meanLoss(model, examples, padId)).toBeCloseTo(expected, 5);
  });

  it('does not depend on the batches, their padding, or the order', async () => {
    expect(await meanLoss(model, [...examples].reverse(), padId, 3)).toBeCloseTo(expected, 5);
    expect(await meanLoss(model, examples, padId, 1)).toBeCloseTo(expected, 5);
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
    expect((await score(model, asked((answer) => answer), padId)).exactMatch).toBe(1);
    const wrong = asked((answer, i) => (i < 2 ? [...answer.slice(0, -1), answer.at(-1) === 5 ? 6 : 5] : answer));
    expect((await score(model, wrong, padId, 3)).exactMatch).toBeCloseTo(5 / 7, 12);
  });

  it('leaves no tensor behind', async () => {
    const before = tf.memory().numTensors;
    await score(model, examples, padId, 2);
    expect(tf.memory().numTensors).toBe(before);
  });
});

describe('an evaluation', () => {
  it('asks each question, and gives loss, perplexity and the answers in their order', async () => {
    const { answers, loss, perplexity, count, exactMatch } = await evaluate(model, examples, tinyTokenizer);
    expect(answers).toEqual(examples.map(({ tokens, promptLength }) =>
      tinyTokenizer.decode(greedy(tokens.slice(0, promptLength), 3))));
    expect(loss).toBe(await meanLoss(model, examples, padId));
    expect(perplexity).toBeCloseTo(Math.exp(loss), 10);
    expect(count).toBe(7);
    expect(exactMatch).toBeLessThan(1);
  });

  it('counts as right an answer that is word for word the one expected, and no other', async () => {
    const promptOf = ({ tokens, promptLength }: Example) => tokens.slice(0, promptLength);
    const answers = examples.map((example) => greedy(promptOf(example), 2) as [number, number]);
    const known = answers.findIndex(([first, second]) => first > 2 && first !== second);
    const eosId = answers[known]![1]; // so that the model answers one question in one token
    const asked = examples.map((example, i): Example => {
      const [said] = answers[i]!;
      const expected = i === known ? said : said === 5 ? 6 : 5;
      return { ...example, tokens: Int32Array.from([...promptOf(example), expected, eosId]) };
    });
    const tokenizer: Tokenizer = {
      ...tinyTokenizer, eosId, eosIds: [eosId], decode: (ids) => tinyTokenizer.decode(ids.filter((id) => id !== eosId)),
    };
    expect((await evaluate(model, asked, tokenizer)).exactMatch).toBe(1 / 7);
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
