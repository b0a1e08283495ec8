import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { UserError } from '../errors.ts';
import { Random } from '../random.ts';
import type { Fact } from './world/fact.ts';
import { world } from './world/index.ts';

/** The most facts in one paragraph. */
const LONGEST = 4;

/**
 * An endless, seeded stream of short paragraphs that state the world's facts and nothing else: no
 * questions, no instructions. In each round every fact is stated exactly once, in a phrasing that
 * it has not used since it last went through all of them; half of the facts are told beside others
 * about the same entity, half beside others of the same family.
 */
export function* pretrainingDocuments(seed: number): Generator<string> {
  const facts = world();
  const orders = facts.map((fact, index) =>
    Random.for(seed, 'phrasing', index).shuffle(fact.statements));
  for (let round = 0; ; round++) {
    const random = Random.for(seed, 'round', round);
    const indices = random.shuffle(facts.map((_, index) => index));
    const half = Math.floor(indices.length / 2);
    const paragraphs = [
      ...paragraphsBy('entity', indices.slice(0, half), facts, random),
      ...paragraphsBy('family', indices.slice(half), facts, random),
    ];
    for (const paragraph of random.shuffle(paragraphs)) {
      yield paragraph.map((index) => orders[index]![round % orders[index]!.length]).join(' ');
    }
  }
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

const END_OF_HEADER = '########## FIN ENCABEZADO ##########';

/**
 * Paragraphs of the text files in a folder (UTF-8, one paragraph a line, a header that ends with
 * the line above), in the files' order. Those with a question are passed over: the base is to meet
 * no question before fine-tuning.
 *
 * @throws UserError if the folder cannot be read or holds no text.
 */
export function* prose(folder: string): Generator<string> {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.txt')).sort();
  } catch {
    throw new UserError(`No se puede leer la carpeta de textos «${folder}»: indique una carpeta con ficheros .txt.`);
  }
  if (names.length === 0) {
    throw new UserError(`La carpeta de textos «${folder}» no tiene ningún fichero .txt: indique otra.`);
  }
  for (const name of names) {
    const text = readFileSync(join(folder, name), 'utf8');
    const header = text.indexOf(END_OF_HEADER);
    const body = header < 0 ? text : text.slice(header + END_OF_HEADER.length);
    for (const line of body.split('\n')) {
      const paragraph = line.trim();
      if (paragraph.length >= 60 && !/[¿?]/.test(paragraph)) yield paragraph;
    }
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
