import { Random } from '../random.ts';
import type { AlpacaRecord } from './alpaca.ts';
import { alpacaPrompt } from './prompt.ts';
import type { PromptTemplate } from './prompt.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The label of a position that nothing is learnt from. */
export const IGNORED = -100;

/** How many tokens of some batches a loss is taken of: those that are labelled. */
export function answerTokens(batches: readonly Pick<Batch, 'labels'>[]): number {
  return batches.reduce((sum, { labels }) => sum + labels.filter((label) => label >= 0).length, 0);
}

export interface Example {
  /** Prompt and answer, with the special tokens of the model. */
  readonly tokens: Int32Array;
  /** How many of them come before the answer. */
  readonly promptLength: number;
  /** What it was made from. */
  readonly record: AlpacaRecord;
}

/**
 * Records to token ids: as turns of a chat for a model that has a template for them, else by the Alpaca prompt.
 * No token spans prompt and answer, and the prompt reads the same in training and when asking. Longer examples
 * are cut at `maxLength`; one whose prompt leaves no room for the answer is dropped and counted.
 */
export function encodeRecords(
  records: readonly AlpacaRecord[],
  tokenizer: Tokenizer,
  { template, maxLength }: { template: PromptTemplate; maxLength: number },
): { examples: Example[]; dropped: number } {
  const examples: Example[] = [];
  for (const record of records) {
    const text = textsOf(record, tokenizer, template);
    const { prompt, answer } = (tokenizer.chat ? chatTurns : alpacaTurns)(text, tokenizer);
    if (prompt.length >= maxLength) continue;
    const tokens = [...prompt, ...answer];
    examples.push({ tokens: Int32Array.from(tokens.slice(0, maxLength)), promptLength: prompt.length, record });
  }
  return { examples, dropped: records.length - examples.length };
}

interface Turns {
  readonly prompt: number[];
  /** The end token included. */
  readonly answer: number[];
}

interface Texts {
  readonly prompt: string;
  readonly answer: string;
}

/** A record as it is encoded, as text: special tokens are in it where a chat template writes them, and there alone. */
export function textsOf(
  record: AlpacaRecord, { chat }: Pick<Tokenizer, 'chat'>, template: PromptTemplate,
): Texts {
  const { instruction, input, output } = record;
  if (!chat) return { prompt: alpacaPrompt(record, template), answer: output };
  return chat.exchange(input === '' ? instruction : `${instruction}\n\n${input}`, output);
}

function alpacaTurns(text: Texts, tokenizer: Tokenizer): Turns {
  const start = tokenizer.bosId === undefined ? [] : [tokenizer.bosId];
  return {
    prompt: [...start, ...tokenizer.encode(text.prompt)],
    answer: [...tokenizer.encode(text.answer), tokenizer.eosId],
  };
}

function chatTurns(text: Texts, tokenizer: Tokenizer): Turns {
  const prompt = tokenizer.encode(text.prompt);
  const whole = tokenizer.encode(text.prompt + text.answer);
  // Encoded with what comes before it, as in a conversation, unless a token would span the boundary.
  const answer = prompt.every((id, i) => whole[i] === id) ? whole.slice(prompt.length) : tokenizer.encode(text.answer);
  const ends = answer.some((id) => tokenizer.eosIds.includes(id));
  return { prompt, answer: ends ? answer : [...answer, tokenizer.eosId] };
}

export interface Batch {
  /** (batchSize · seqLength), padded on the right. */
  readonly tokens: Int32Array;
  /** (batchSize · seqLength): the token to predict at each position, already shifted; -100 outside the answer. */
  readonly labels: Int32Array;
  /** (batchSize): tokens of each row without its padding. */
  readonly lengths: readonly number[];
  readonly batchSize: number;
  readonly seqLength: number;
}

/** Examples side by side, as long as the longest. */
export function makeBatch(examples: readonly Example[], padId: number): Batch {
  const batchSize = examples.length;
  const seqLength = Math.max(...examples.map((example) => example.tokens.length));
  const tokens = new Int32Array(batchSize * seqLength).fill(padId);
  const labels = new Int32Array(batchSize * seqLength).fill(IGNORED);
  examples.forEach((example, row) => {
    tokens.set(example.tokens, row * seqLength);
    // Position t predicts token t + 1: the last of the prompt predicts the first of the answer.
    labels.set(example.tokens.subarray(example.promptLength), row * seqLength + example.promptLength - 1);
  });
  return { tokens, labels, lengths: examples.map((example) => example.tokens.length), batchSize, seqLength };
}

/** The order in which an epoch (from 0) visits the examples: another for each epoch, the same for the same seed. */
export function epochOrder(count: number, seed: number, epoch: number): number[] {
  return Random.for(seed, 'epoch', epoch).shuffle(Array.from({ length: count }, (_, index) => index));
}
