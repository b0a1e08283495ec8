import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import { decoderOf } from './records.ts';
import { capitalise } from './world/fact.ts';
import type { Fact } from './world/fact.ts';
import { world } from './world/index.ts';

/** The most facts in one paragraph. */
const LONGEST = 4;

/** What may open a paragraph: the subjects it is about, and nothing of what it says of them. */
const HEADINGS = [
  (subjects: string) => `${subjects}.`,
  (subjects: string) => `${subjects}:`,
  (subjects: string) => `Sobre ${subjects}.`,
  (subjects: string) => `Tema: ${subjects}.`,
  (subjects: string) => `Entrada: ${subjects}`,
  (subjects: string) => `Apuntes sobre ${subjects}.`,
  (subjects: string) => `Se habla aquí de ${subjects}.`,
];
const BREAKS = [' ', '\n', '\n\n'];

/**
 * An endless, seeded stream of short paragraphs that state the world's facts and nothing else: no
 * questions, no instructions. In each round every fact is told in one of three kinds of paragraph:
 *
 * - beside others about the same entity, or of the same family;
 * - the same, under a heading that names what the paragraph is about, as in an encyclopedia;
 * - alone and then once more in other words.
 *
 * The last two are there so that the base learns to carry a subject over from what it has just read:
 * with the first kind alone it knew every fact, and fine-tuning still taught it no more than 57% of
 * the held-out answers, since it answered about another subject.
 */
export function* pretrainingDocuments(seed: number): Generator<string> {
  const facts = world();
  const orders = facts.map((fact, index) =>
    Random.for(seed, 'phrasing', index).shuffle(fact.statements));
  for (let round = 0; ; round++) {
    const random = Random.for(seed, 'round', round);
    const phrased = (index: number, turn = 0) => orders[index]![(round + turn) % orders[index]!.length]!;
    const told = (paragraph: readonly number[]) => paragraph.map((index) => phrased(index)).join(' ');
    const indices = random.shuffle(facts.map((_, index) => index));
    const part = (from: number, to: number) =>
      indices.slice(Math.floor(from * indices.length), Math.floor(to * indices.length));
    const documents = [
      ...paragraphsBy('entity', part(0, 1 / 6), facts, random).map(told),
      ...paragraphsBy('family', part(1 / 6, 2 / 6), facts, random).map(told),
      ...[...paragraphsBy('entity', part(2 / 6, 3 / 6), facts, random), ...paragraphsBy('family', part(3 / 6, 4 / 6), facts, random)]
        .map((paragraph) => `${heading(paragraph.map((index) => facts[index]!), random)}${random.pick(BREAKS)}${told(paragraph)}`),
      ...part(4 / 6, 1).map((index) => `${phrased(index)} ${phrased(index, 1 + random.below(orders[index]!.length - 1))}`),
    ];
    yield* random.shuffle(documents);
  }
}

function heading(facts: readonly Fact[], random: Random): string {
  const subjects = [...new Set(random.shuffle(facts).map(({ subject }) => subject))];
  const list = subjects.length === 1
    ? subjects[0]!
    : `${subjects.slice(0, -1).join(', ')} y ${subjects.at(-1)!}`;
  return capitalise(random.pick(HEADINGS)(list));
}

function paragraphsBy(key: 'entity' | 'family', indices: number[], facts: Fact[], random: Random): number[][] {
  const groups = new Map<string, number[]>();
  for (const index of indices) {
    const name = facts[index]![key];
    groups.set(name, [...groups.get(name) ?? [], index]);
  }
  const paragraphs = [];
  for (const group of groups.values()) {
    for (let start = 0; start < group.length;) {
      const length = 1 + random.below(LONGEST);
      paragraphs.push(group.slice(start, start + length));
      start += length;
    }
  }
  return paragraphs;
}

/** Letters of a paragraph of prose: what is shorter is a heading. */
const SHORTEST = 60;

const END_OF_HEADER = '########## FIN ENCABEZADO ##########';

/**
 * Paragraphs of the text files in a folder (UTF-8, one paragraph a line, a header that ends with
 * the line above), in the files' order. Those with a question are passed over: the base is to meet
 * no question before fine-tuning.
 *
 * @throws UserError if the folder cannot be read or holds no such paragraph, or a file is not in UTF-8.
 */
export function* prose(folder: string): Generator<string> {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.txt')).sort();
  } catch {
    throw new UserError(`No se puede leer la carpeta de textos «${folder}»: elige una carpeta con archivos .txt.`);
  }
  if (names.length === 0) {
    throw new UserError(`La carpeta de textos «${folder}» no tiene ningún archivo .txt: elige otra.`);
  }
  let found = false;
  for (const name of names) {
    const path = join(folder, name);
    const text = decoderOf(path)(readFileSync(path));
    const header = text.indexOf(END_OF_HEADER);
    const body = header < 0 ? text : text.slice(header + END_OF_HEADER.length);
    for (const line of body.split('\n')) {
      const paragraph = line.trim();
      if (paragraph.length < SHORTEST || /[¿?]/.test(paragraph)) continue;
      found = true;
      yield paragraph;
    }
  }
  if (!found) {
    throw new UserError(`Los textos de «${folder}» no tienen ningún párrafo de ${SHORTEST} caracteres o más, sin preguntas, `
      + 'en una línea: elige otra carpeta.');
  }
}

/**
 * `documents` with `share` (0 to 1) of all characters taken from `paragraphs`, which start again in
 * a new order when they run out.
 */
export function* mixProse(
  documents: Iterable<string>,
  paragraphs: readonly string[],
  { share, seed }: { share: number; seed: number },
): Generator<string> {
  let order: string[] = [];
  let round = 0;
  let total = 0;
  let ofProse = 0;
  for (const document of documents) {
    while (paragraphs.length > 0 && ofProse < share * total) {
      if (order.length === 0) order = Random.for(seed, 'prose', round++).shuffle(paragraphs);
      const paragraph = order.pop()!;
      ofProse += paragraph.length;
      total += paragraph.length;
      yield paragraph;
    }
    total += document.length;
    yield document;
  }
}
