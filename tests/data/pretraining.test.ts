import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mixProse, pretrainingDocuments, prose } from '../../src/data/pretraining.ts';
import { world } from '../../src/data/world/index.ts';

const take = (count: number, items: Iterable<string>) => {
  const taken = [];
  for (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
};

describe('pretrainingDocuments', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(take(200, pretrainingDocuments(1))).toEqual(take(200, pretrainingDocuments(1)));
    expect(take(200, pretrainingDocuments(1))).not.toEqual(take(200, pretrainingDocuments(2)));
  });

  it('states every fact in every round, and in the end in every phrasing', () => {
    const facts = world();
    const pending = new Set(facts.flatMap((fact) => fact.statements));
    let documents = 0;
    for (const document of pretrainingDocuments(3)) {
      for (const { statement } of sentencesOf(document)) pending.delete(statement);
      if (pending.size === 0 || ++documents > 40 * facts.length) break;
    }
    expect([...pending]).toEqual([]);
  });

  it('holds plain statements only, at most four of them, with or without a heading that tells nothing', () => {
    const headings = new Set<string>();
    for (const document of take(3000, pretrainingDocuments(4))) {
      const sentences = sentencesOf(document);
      expect(sentences.length).toBeGreaterThan(0);
      expect(sentences.length).toBeLessThanOrEqual(4);
      expect(document).not.toMatch(/[¿?#]/);
      const heading = document.slice(0, sentences[0]!.at);
      if (heading !== '') headings.add(heading.trim());
    }
    expect(headings.size).toBeGreaterThan(500);
    // A heading is a list of subjects: take those away, and what is left is one of a few frames.
    const subjects = [...new Set(world().map((fact) => fact.subject.toLowerCase()))];
    subjects.sort((a, b) => b.length - a.length);
    const frames = new Set([...headings].map((heading) => {
      let frame = heading.toLowerCase();
      for (const subject of subjects) frame = frame.replaceAll(subject, '_');
      return frame.replaceAll(/_(, _)*( y _)?/g, '_');
    }));
    expect(frames.size).toBeLessThan(60);
  });

  it('says a third of the facts twice, in two phrasings', () => {
    const subjectsOf = new Map<string, number[]>();
    world().forEach(({ statements }, index) => statements.forEach((statement) => {
      subjectsOf.set(statement, [...subjectsOf.get(statement) ?? [], index]);
    }));
    const restated = take(6000, pretrainingDocuments(5)).filter((document) => {
      const [first, second, ...more] = sentencesOf(document);
      if (!first || !second || more.length > 0 || first.at > 0) return false;
      expect(second.statement, document).not.toBe(first.statement);
      return subjectsOf.get(first.statement)!.some((index) => subjectsOf.get(second.statement)!.includes(index));
    });
    expect(restated.length / 6000).toBeGreaterThan(0.3);
  });
});

const statements = new Set(world().flatMap((fact) => fact.statements));

/** The statements of a document and where each begins; a heading before them is passed over. */
function sentencesOf(document: string): { statement: string; at: number }[] {
  const ends = [...document.matchAll(/\.(?= |$)/g)].map(({ index }) => index + 1);
  const starts = [0, ...[...document.matchAll(/[ \n](?=\S)/g)].map(({ index }) => index + 1)];
  for (const start of starts) {
    const found: { statement: string; at: number }[] = [];
    let at = start;
    while (at < document.length) {
      const end = ends.find((end) => end > at && statements.has(document.slice(at, end)));
      if (end === undefined) break;
      found.push({ statement: document.slice(at, end), at });
      at = end + 1;
    }
    if (found.length > 0 && at >= document.length) return found;
  }
  throw new Error(`not made of statements: ${document}`);
}

describe('prose', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'prose-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const long = 'En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo que vivía un hidalgo.';

  it('gives the paragraphs after the header, without headings and questions', () => {
    writeFileSync(join(folder, 'a.txt'), `Título de un libro que es largo como para parecer un párrafo entero
########## FIN ENCABEZADO ##########\n– I –\n${long}\n\n¿${long}?\n${long} Fin.\n`);
    expect([...prose(folder)]).toEqual([long, `${long} Fin.`]);
  });

  it('refuses a folder that is missing or has no text', () => {
    mkdirSync(join(folder, 'vacía'));
    expect(() => [...prose(join(folder, 'no'))]).toThrow(/No se puede leer la carpeta de textos/);
    expect(() => [...prose(join(folder, 'vacía'))]).toThrow(/no tiene ningún archivo \.txt/);
  });

  it('refuses what would not be learnt as it is written: another encoding, and files without a paragraph', () => {
    writeFileSync(join(folder, 'a.txt'), 'Corto.\n');
    expect(() => [...prose(folder)]).toThrow(/ningún párrafo de 60 caracteres o más, sin preguntas/);
    writeFileSync(join(folder, 'b.txt'), Buffer.from(`${long} Adiós.`, 'latin1'));
    expect(() => [...prose(folder)]).toThrow(/El texto de «.*b\.txt» no es UTF-8/);
  });

  it('is mixed in at its share of the characters', () => {
    const mixed = take(5000, mixProse(pretrainingDocuments(1), [long, `${long} Fin.`], { share: 0.2, seed: 1 }));
    const length = (texts: string[]) => texts.reduce((sum, text) => sum + text.length, 0);
    const share = length(mixed.filter((text) => text.startsWith(long))) / length(mixed);
    expect(share).toBeCloseTo(0.2, 2);
  });
});
