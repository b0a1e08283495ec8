/**
 * One thing that the base model knows, and how it is asked for.
 *
 * The base meets the fact only as plain statements, in many phrasings and orders (knowledge met in
 * a single phrasing cannot be extracted by fine-tuning: Allen-Zhu and Li, Physics of Language
 * Models 3.1, 2023). The answer is word for word one of them and opens by repeating the subject,
 * so what fine-tuning has to teach is to turn a question into that opening.
 */
export interface Fact {
  family: string;
  /** What it is about. The split between training and held-out questions is drawn on it; see `split.ts`. */
  entity: string;
  /** What the question is about, as it is written in the sentences. */
  subject: string;
  answer: string;
  /** Six or more phrasings; the first is the answer. */
  statements: string[];
  /** Two to four ways to ask for it. */
  questions: Question[];
}

export interface Question {
  instruction: string;
  input?: string;
}

/** Builds a fact from its phrasings: the first statement is the answer; a question is text, or text and input. */
export function fact(
  about: Pick<Fact, 'family' | 'entity' | 'subject'>,
  statements: readonly [string, ...string[]],
  questions: readonly (string | readonly [string, string])[],
): Fact {
  return {
    ...about,
    answer: statements[0],
    statements: statements.map(capitalise),
    questions: questions.map((question) =>
      typeof question === 'string' ? { instruction: question } : { instruction: question[0], input: question[1] },
    ),
  };
}

/** The first letter in upper case, past an opening «. */
export function capitalise(sentence: string): string {
  return sentence.replace(/^«?\p{Ll}/u, (start) => start.toLocaleUpperCase('es'));
}

/** «de» before a noun with its article: «del lunes», «de la B». */
export function of(noun: string): string {
  return noun.startsWith('el ') ? `del ${noun.slice(3)}` : `de ${noun}`;
}

/** «a» before a noun with its article: «al lunes», «a la B». */
export function to(noun: string): string {
  return noun.startsWith('el ') ? `al ${noun.slice(3)}` : `a ${noun}`;
}

/** The rows of a table written as text: one a line, fields parted by `|`, a dash for what is left out. */
export function rows(table: string): string[][] {
  return table.trim().split('\n').map((line) => line.trim().split('|').map((field) => field.trim()));
}
