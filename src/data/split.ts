import { Random } from '../random.ts';
import type { Fact } from './world/fact.ts';

/** Share of the entities whose questions are kept for the examination. */
export const heldOutShare = 0.12;

/**
 * The split, drawn on entities and not on questions. An entity is what a question is about: a
 * country, a number, a sum, a word (a word that has an antonym goes with it as one entity). A
 * held-out entity is held out of every family in which it is asked about, so that Perú is never
 * asked about in training, be it for its capital, its currency, its continent or its demonym.
 */
export function isHeldOut(entity: string, seed: number): boolean {
  return Random.for(seed, 'held-out', entity).uniform() < heldOutShare;
}

/**
 * Facts that may be asked about in training, and facts kept for the examination. In the family
 * «orden» the neighbours tell on each other («Después de febrero viene marzo» names the held-out
 * «marzo»), so there a question whose answer is a held-out entity is in neither.
 */
export function splitFacts(facts: readonly Fact[], seed: number): { train: Fact[]; heldOut: Fact[] } {
  const heldOut = facts.filter((fact) => isHeldOut(fact.entity, seed));
  const heldOutPlaces = new Set(heldOut.filter((fact) => fact.family === 'orden').map((fact) => fact.subject));
  const train = facts.filter((fact) => !isHeldOut(fact.entity, seed)
    && !(fact.family === 'orden' && heldOutPlaces.has(answerOf(fact))));
  return { train, heldOut };
}

/** What an answer of the family «orden» names: «Después de marzo viene abril.» names «abril». */
function answerOf(fact: Fact): string {
  return fact.answer.replace(/^.* viene (.*)\.$/, '$1');
}
