import spanish from 'dictionary-es';
import nspell from 'nspell';
import { at, spoken } from './slide.ts';
import type { Page } from './slide.ts';

/** Says whether a word is Spanish, or one of the project's own. */
export type Speller = (word: string) => boolean;

/** @param own words a line each, as they are written; `#` begins a remark */
export function speller(own: string): Speller {
  const dictionary = nspell(spanish);
  const words = new Set(own.split('\n').map((line) => line.replace(/#.*/, '').trim()).filter((word) => word !== ''));
  const known = (word: string) => words.has(word) || dictionary.correct(word);
  const lower = (word: string) => word.charAt(0).toLocaleLowerCase('es') + word.slice(1);
  return (word) => known(word) || known(lower(word)); // a capital begins a sentence
}

/** Words of slides, notes, captions and alternative texts that neither the dictionary nor the project's list knows. */
export function spellingFaults(pages: readonly Page[], knows: Speller): string[] {
  return pages.flatMap((page) => {
    const words = new Set(spoken(page).flatMap(wordsOf));
    return [...words].filter((word) => !knows(word)).map((word) => at(page, `«${word}»`));
  });
}

/** Words of a text, those of a compound apart; what is all capitals, or has a figure in it, names a thing. */
export function wordsOf(text: string): string[] {
  return (text.match(/[\p{L}\p{N}\p{M}_]+/gu) ?? []).filter((word) =>
    /\p{Ll}{2}/u.test(word) && !/[\p{N}_]/u.test(word));
}
