import { describe, expect, it } from 'vitest';
import { plural } from '../../src/data/world/nouns.ts';
import { inWords } from '../../src/data/world/numbers.ts';
import { world } from '../../src/data/world/index.ts';

const facts = world();

describe('the world', () => {
  it('has thousands of facts in at least ten families', () => {
    expect(facts.length).toBeGreaterThan(2500);
    expect(new Set(facts.map((fact) => fact.family)).size).toBeGreaterThanOrEqual(10);
  });

  it('states every fact in six or more different phrasings, one of which is the answer', () => {
    for (const { statements, answer } of facts) {
      expect(new Set(statements).size, answer).toBeGreaterThanOrEqual(6);
      expect(statements).toContain(answer);
    }
  });

  it('asks for every fact in two to four ways', () => {
    for (const { questions, answer } of facts) {
      expect(questions.length, answer).toBeGreaterThanOrEqual(2);
      expect(questions.length, answer).toBeLessThanOrEqual(4);
    }
  });

  it('states in whole sentences and never asks nor instructs', () => {
    const instructions = new Set(facts.flatMap((fact) => fact.questions.map((question) => question.instruction)));
    for (const statement of facts.flatMap((fact) => fact.statements)) {
      expect(statement).toMatch(/^«?[\p{Lu}\d].*\.$/u);
      expect(statement).not.toMatch(/[¿?¡!#]|undefined/);
      expect(statement).not.toMatch(/^(Di|Escribe|Traduce|Suma|Resta) /);
      expect(instructions.has(statement)).toBe(false);
    }
  });

  it('gives one answer to each question', () => {
    const answers = new Map<string, string>();
    for (const { questions, answer } of facts) {
      for (const question of questions) {
        const key = JSON.stringify(question);
        expect(answers.get(key) ?? answer, key).toBe(answer);
        answers.set(key, answer);
      }
    }
  });

  it('names its subject in the answer and in each question', () => {
    for (const { subject, answer, questions } of facts) {
      // «del lunes», «al lunes»: the article may be fused. A sum names its terms apart, or the other way round.
      const words = subject.replace(/^el /, '').split(' y ');
      for (const word of words) {
        expect(answer.toLowerCase()).toContain(word.toLowerCase());
        for (const { instruction, input = '' } of questions) {
          expect(`${instruction} ${input}`.toLowerCase()).toContain(word.toLowerCase());
        }
      }
    }
  });

  it('has its facts right', () => {
    const answers = new Set(facts.map((fact) => fact.answer));
    for (const answer of [
      'La capital de Perú es Lima.', 'El continente de Kenia es África.', 'La moneda de Japón es el yen.',
      'El gentilicio de Costa Rica es costarricense.', 'La suma de 12 y 7 es 19.', 'La diferencia entre 12 y 7 es 5.',
      'El número 42 se escribe cuarenta y dos.', 'El antónimo de largo es corto.', 'El antónimo de corto es largo.',
      'Lo contrario de «la calle es larga» es «la calle es corta».', 'El plural de lápiz es lápices.',
      'La manzana es una fruta.', 'En inglés, perro se dice dog.', 'El femenino de actor es actriz.',
      'El gerundio de leer es leyendo.', 'El participio de escribir es escrito.', 'Después de marzo viene abril.',
      'Después del domingo viene el lunes.', 'Antes de la Ñ viene la N.', 'El símbolo químico de la plata es Ag.',
      'El número atómico del oro es 79.', 'El número atómico del uranio es 92.',
    ]) expect(answers).toContain(answer);
  });
});

describe('plural', () => {
  it.each([
    ['casa', 'casas'], ['sofá', 'sofás'], ['luz', 'luces'], ['canción', 'canciones'], ['interés', 'intereses'],
    ['jardín', 'jardines'], ['examen', 'exámenes'], ['árbol', 'árboles'], ['país', 'países'], ['camaleón', 'camaleones'], ['crisis', 'crisis'],
    ['carácter', 'caracteres'], ['rey', 'reyes'], ['raíz', 'raíces'],
  ])('%s: %s', (one, many) => {
    expect(plural(one)).toBe(many);
  });
});

describe('inWords', () => {
  it.each([[0, 'cero'], [16, 'dieciséis'], [22, 'veintidós'], [30, 'treinta'], [31, 'treinta y uno'], [100, 'cien']])(
    '%i: %s', (n, words) => {
      expect(inWords(n)).toBe(words);
    });
});
