import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readAlpaca } from '../../src/data/alpaca.ts';
import { embeddedFiles, embeddedInstructions, embeddedSeed } from '../../src/data/embedded.ts';
import { isHeldOut, splitFacts } from '../../src/data/split.ts';
import { world } from '../../src/data/world/index.ts';

const train = await readAlpaca(['assets/data/alpaca_es.json']);
const heldOut = await readAlpaca(['assets/data/heldout_es.json']);
const facts = world();
const factOf = new Map(facts.map((fact) => [fact.answer, fact]));
const statements = new Set(facts.flatMap((fact) => fact.statements));

/** The text without case, punctuation and order of words, to tell paraphrases by. */
const bag = (text: string) => (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).sort().join(' ');

describe('the embedded files', () => {
  it.each([...embeddedFiles()])('%s is what `npm run data` writes', (path, contents) => {
    expect(readFileSync(path, 'utf8')).toBe(contents);
  });

  it('come out the same every time', () => {
    expect(embeddedInstructions()).toEqual(embeddedInstructions());
  });
});

describe('the instruction set', () => {
  it('has some 3,000 records to train on and 320 to 420 to examine with', () => {
    expect(train).toHaveLength(3000);
    expect(heldOut.length).toBeGreaterThanOrEqual(320);
    expect(heldOut.length).toBeLessThanOrEqual(420);
  });

  it('has every family in both', () => {
    const families = new Set(facts.map((fact) => fact.family));
    expect(families.size).toBeGreaterThanOrEqual(8);
    expect(new Set(train.map((record) => factOf.get(record.output)!.family))).toEqual(families);
    expect(new Set(heldOut.map((record) => factOf.get(record.output)!.family))).toEqual(families);
  });

  it('answers with a sentence that the base met as a plain statement', () => {
    for (const { output } of [...train, ...heldOut]) expect(statements.has(output), output).toBe(true);
  });
});

describe('the held-out questions', () => {
  const heldOutEntities = new Set(heldOut.map((record) => factOf.get(record.output)!.entity));
  const trainText = train.map(({ instruction, input, output }) => [instruction, input, output]);

  it('are about entities that no training record asks about', () => {
    for (const { output } of heldOut) expect(isHeldOut(factOf.get(output)!, embeddedSeed)).toBe(true);
    for (const { output } of train) {
      const fact = factOf.get(output)!;
      expect(isHeldOut(fact, embeddedSeed), output).toBe(false);
      expect(heldOutEntities.has(fact.entity), output).toBe(false);
    }
  });

  it('of sums and differences are not told by the operation that undoes them', () => {
    // Each operation as its three numbers: 7 + 12 = 19 and 19 − 12 = 7 are {7, 12, 19}.
    const numbers = ({ output }: { output: string }) => bag(output.replace(/[^\d ]/g, ''));
    const arithmetic = (records: typeof train) =>
      records.filter(({ output }) => ['sumas', 'restas'].includes(factOf.get(output)!.family)).map(numbers);
    const trained = new Set(arithmetic(train));
    expect(arithmetic(heldOut).filter((operation) => trained.has(operation))).toEqual([]);
  });

  it('are about countries, elements and verbs that no training record names at all', () => {
    const named = new Set(trainText.flat().flatMap((text) => text.match(/[\p{L}\p{N}]+/gu) ?? []));
    const families = ['capitales', 'monedas', 'símbolos químicos', 'gerundios'];
    const subjects = heldOut.map((record) => factOf.get(record.output)!)
      .filter(({ family, subject }) => families.includes(family) && !subject.includes(' '))
      .map((fact) => fact.subject);
    expect(subjects.length).toBeGreaterThan(40);
    expect(subjects.filter((subject) => named.has(subject))).toEqual([]);
  });

  it('are asked neither in training nor, in any wording of ours, stated there', () => {
    const asked = new Set(train.map((record) => bag(`${record.instruction} ${record.input}`)));
    const told = new Set(trainText.flat().map(bag));
    for (const { output } of heldOut) {
      const fact = factOf.get(output)!;
      for (const { instruction, input = '' } of fact.questions) {
        expect(asked.has(bag(`${instruction} ${input}`)), output).toBe(false);
      }
      for (const statement of fact.statements) expect(told.has(bag(statement)), statement).toBe(false);
    }
  });

  it('are nowhere in pre-training, which holds no question', () => {
    const told = new Set([...statements].map(bag));
    for (const { instruction, input } of heldOut) expect(told.has(bag(`${instruction} ${input}`)), instruction).toBe(false);
    for (const statement of statements) expect(statement).not.toMatch(/[¿?]/);
  });

  it('of «orden» are given away by no training answer', () => {
    const places = new Set(facts.filter((fact) => fact.family === 'orden' && isHeldOut(fact, embeddedSeed))
      .map((fact) => fact.subject));
    expect(places.size).toBeGreaterThan(5);
    for (const fact of splitFacts(facts, embeddedSeed).train.filter(({ family }) => family === 'orden')) {
      const answered = fact.answer.replace(/^.* viene /, '').replace(/\.$/, '');
      expect(places.has(answered), fact.answer).toBe(false);
    }
  });
});
