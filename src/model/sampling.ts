import type { Random } from '../random.ts';

/** How the next token is drawn. What is left out changes nothing. */
export interface Sampling {
  /** Below 1 the likely tokens become likelier, above 1 less so. */
  readonly temperature?: number;
  /** Draws among so many of the likeliest tokens, and those as likely as the last of them. */
  readonly topK?: number;
  /** Draws among the fewest tokens whose probabilities reach this sum (Holtzman et al., 2020). */
  readonly topP?: number;
}

/**
 * The distribution that the next token is drawn from: temperature, then topK, then topP, as transformers orders them.
 *
 * @param logits (vocab)
 * @returns probabilities (vocab); 0 where a token is out
 * @throws RangeError for a temperature or a topP that is not positive, or a topK below 1
 */
export function tokenProbabilities(logits: Float32Array, { temperature = 1, topK, topP = 1 }: Sampling): Float32Array {
  if (!(temperature > 0) || !(topP > 0) || !(topK === undefined || topK >= 1)) {
    throw new RangeError(`No token can be drawn with temperature ${temperature}, topK ${topK}, topP ${topP}`);
  }
  const scores = logits.map((logit) => logit / temperature);
  const ascending = scores.toSorted(); // numbers, unlike an array's sort
  const largest = ascending.at(-1)!;
  const least = ascending.at(-Math.min(topK ?? Infinity, scores.length))!;
  const weights = scores.map((score) => (score >= least ? Math.exp(score - largest) : 0));
  if (topP < 1) dropTail(weights, topP);
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

/** Puts 0 for the least likely tokens, as many as leave the share `topP` to the others; the likeliest always stays. */
function dropTail(weights: Float32Array, topP: number): void {
  const ids = [...weights.keys()].filter((id) => weights[id]! > 0).sort((a, b) => weights[a]! - weights[b]!);
  let dropped = 0;
  const most = (1 - topP) * sum(weights);
  for (const id of ids.slice(0, -1)) {
    dropped += weights[id]!;
    if (dropped > most) return;
    weights[id] = 0;
  }
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0);
}

/** A token drawn from the distribution. */
export function drawToken(probabilities: Float32Array, random: Random): number {
  let left = random.uniform() * sum(probabilities);
  const drawn = probabilities.findIndex((probability) => (left -= probability) < 0);
  return drawn >= 0 ? drawn : probabilities.findLastIndex((probability) => probability > 0);
}
