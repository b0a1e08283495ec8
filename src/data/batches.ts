import { Random } from '../random.ts';
import type { AlpacaRecord } from './alpaca.ts';
import { alpacaPrompt } from './prompt.ts';
import type { PromptTemplate } from './prompt.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The label of a position that nothing is learnt from. */
const IGNORED = -100;

export interface Example {
  /** Start token, prompt, answer, end token. */
  readonly tokens: Int32Array;
  /** How many of them, the start token included, come before the answer. */
  readonly promptLength: number;
  /** What it was made from. */
  readonly record: AlpacaRecord;
}

/**
 * Records to token ids. Prompt and answer are encoded apart, so that no token spans the boundary
 * and the prompt reads the same in training and when asking. Longer examples are cut at `maxLength`;
 * one whose prompt leaves no room for the answer is dropped and counted.
 */
export function encodeRecords(
  records: readonly AlpacaRecord[],
  tokenizer: Tokenizer,
  { template, maxLength }: { template: PromptTemplate; maxLength: number },
): { examples: Example[]; dropped: number } {
  const examples: Example[] = [];
  for (const record of records) {
    const prompt = tokenizer.encode(alpacaPrompt(record, template));
    if (tokenizer.bosId !== undefined) prompt.unshift(tokenizer.bosId);
    if (prompt.length >= maxLength) continue;
    const tokens = [...prompt, ...tokenizer.encode(record.output), tokenizer.eosId];
    examples.push({ tokens: Int32Array.from(tokens.slice(0, maxLength)), promptLength: prompt.length, record });
  }
  return { examples, dropped: records.length - examples.length };
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
