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

  it('states each fact once a round, and each of its phrasings equally often', () => {
    const statements = world().flatMap((fact) => fact.statements);
    const sevenRounds = 7 * world().length;
    const told: string[] = [];
    const sentencesOf = parting(statements);
    for (const document of pretrainingDocuments(3)) {
      told.push(...sentencesOf(document));
      if (told.length >= sevenRounds) break;
    }
    expect(told).toHaveLength(sevenRounds); // a round ends with a paragraph, not within one
    const timesTold = count(told);
    const timesHeld = count(statements); // a few facts share a phrasing
    for (const { statements: phrasings } of world().filter((fact) => fact.statements.length === 7)) {
      for (const phrasing of phrasings) {
        if (timesHeld.get(phrasing) === 1) expect(timesTold.get(phrasing), phrasing).toBe(1);
      }
    }
  });

  it('holds one to four sentences a paragraph, and no question', () => {
    const sentencesOf = parting(world().flatMap((fact) => fact.statements));
    for (const document of take(2000, pretrainingDocuments(4))) {
      expect(sentencesOf(document).length).toBeLessThanOrEqual(4);
      expect(document).not.toMatch(/[¿?#]/);
    }
  });
});

function count(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** Parts a paragraph into the statements it was made of. */
function parting(statements: readonly string[]): (document: string) => string[] {
  const known = new Set(statements);
  return (document) => {
    const parts = document.split(/(?<=\.) /);
    expect(parts.every((part) => known.has(part)), document).toBe(true);
    return parts;
  };
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
    expect(() => [...prose(join(folder, 'vacía'))]).toThrow(/no tiene ningún fichero \.txt/);
  });

  it('is mixed in at its share of the characters', () => {
    const mixed = take(5000, mixProse(pretrainingDocuments(1), [long, `${long} Fin.`], { share: 0.2, seed: 1 }));
    const length = (texts: string[]) => texts.reduce((sum, text) => sum + text.length, 0);
    const share = length(mixed.filter((text) => text.startsWith(long))) / length(mixed);
    expect(share).toBeCloseTo(0.2, 2);
  });
});
