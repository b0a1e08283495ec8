import { antonymFacts, oppositeSentenceFacts } from './antonyms.ts';
import { differenceFacts, sumFacts } from './arithmetic.ts';
import { countryFacts } from './countries.ts';
import { elementFacts } from './elements.ts';
import type { Fact } from './fact.ts';
import { feminineFacts } from './feminines.ts';
import { categoryFacts, pluralFacts, wordTranslationFacts } from './nouns.ts';
import { numberFacts } from './numbers.ts';
import { sequenceFacts } from './sequences.ts';
import { verbFacts } from './verbs.ts';

/** Everything that the base model is told: real facts in plain Spanish sentences, in a fixed order. */
export function world(): Fact[] {
  return [
    ...countryFacts(), ...sumFacts(), ...differenceFacts(), ...numberFacts(), ...antonymFacts(),
    ...oppositeSentenceFacts(), ...pluralFacts(), ...categoryFacts(), ...wordTranslationFacts(), ...feminineFacts(),
    ...verbFacts(), ...sequenceFacts(), ...elementFacts(),
  ];
}
