import { Random } from '../random.ts';
import type { Fact } from './world/fact.ts';

/** Share of the entities whose questions are kept for the examination. */
export const heldOutShare = 0.12;

/**
 * The split, drawn on entities and not on questions. An entity is what a question is about: a
 * country, a number, a sum (with the differences that undo it), a word (with its antonym, if it has
 * one). A held-out entity is held out of every family in which it is asked about, so that Perú is
 * never asked about in training, be it for its capital, its currency, its continent or its demonym.
 */
export function isHeldOut(fact: Fact, seed: number): boolean {
  return Random.for(seed, 'held-out', splitKey(fact)).uniform() < heldOutShare;
}

/** 19 − 7 = 12 and 19 − 12 = 7 say what 7 + 12 = 19 says, so they go with it. */
function splitKey({ entity }: Fact): string {
  const [minuend, subtrahend] = entity.split(' − ').map(Number);
  if (minuend === undefined || subtrahend === undefined) return entity;
  const difference = minuend - subtrahend;
  return `${Math.min(subtrahend, difference)} + ${Math.max(subtrahend, difference)}`;
}

/**
 * Facts that may be asked about in training, and facts kept for the examination. In the family
 * «orden» the neighbours tell on each other («Después de febrero viene marzo» names the held-out
 * «marzo»), so there a question whose answer is a held-out entity is in neither.
 */
export function splitFacts(facts: readonly Fact[], seed: number): { train: Fact[]; heldOut: Fact[] } {
  const heldOut = facts.filter((fact) => isHeldOut(fact, seed));
  const heldOutPlaces = new Set(heldOut.filter((fact) => fact.family === 'orden').map((fact) => fact.subject));
  const train = facts.filter((fact) => !isHeldOut(fact, seed)
    && !(fact.family === 'orden' && heldOutPlaces.has(answerOf(fact))));
  return { train, heldOut };
}

/** What an answer of the family «orden» names: «Después de marzo viene abril.» names «abril». */
function answerOf(fact: Fact): string {
  return fact.answer.replace(/^.* viene (.*)\.$/, '$1');
}
