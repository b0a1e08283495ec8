import { fact } from './fact.ts';
import type { Fact } from './fact.ts';

const LARGEST_SUM = 30;
const LARGEST_MINUEND = 25;

/** Sums of two numbers from 1 up to 30 in all, in both orders; the entity is the unordered pair. */
export function sumFacts(): Fact[] {
  const facts = [];
  for (let a = 1; a < LARGEST_SUM; a++) {
    for (let b = 1; a + b <= LARGEST_SUM; b++) {
      const c = a + b;
      facts.push(fact(
        { family: 'sumas', entity: `${Math.min(a, b)} + ${Math.max(a, b)}`, subject: `${a} y ${b}` },
        [
          `La suma de ${a} y ${b} es ${c}.`,
          `${a} más ${b} son ${c}.`,
          `${a} y ${b} suman ${c}.`,
          `Al sumar ${a} y ${b} se obtiene ${c}.`,
          `${c} es la suma de ${a} y ${b}.`,
          `El resultado de sumar ${a} y ${b} es ${c}.`,
          `${a} + ${b} = ${c}.`,
        ],
        [
          `¿Cuánto es ${a} más ${b}?`,
          `Suma ${a} y ${b}.`,
          `¿Cuál es la suma de ${a} y ${b}?`,
        ],
      ));
    }
  }
  return facts;
}

/** Differences of numbers up to 25, with a positive result; the entity is the expression. */
export function differenceFacts(): Fact[] {
  const facts = [];
  for (let a = 2; a <= LARGEST_MINUEND; a++) {
    for (let b = 1; b < a; b++) {
      const c = a - b;
      facts.push(fact(
        { family: 'restas', entity: `${a} − ${b}`, subject: `${a} y ${b}` },
        [
          `La diferencia entre ${a} y ${b} es ${c}.`,
          `${a} menos ${b} son ${c}.`,
          `Al restar ${b} de ${a} se obtiene ${c}.`,
          `${c} es la diferencia entre ${a} y ${b}.`,
          `El resultado de ${a} menos ${b} es ${c}.`,
          `Quien tiene ${a} y gasta ${b} se queda con ${c}.`,
          `${a} − ${b} = ${c}.`,
        ],
        [
          `¿Cuánto es ${a} menos ${b}?`,
          `Resta ${b} de ${a}.`,
          `¿Cuál es la diferencia entre ${a} y ${b}?`,
        ],
      ));
    }
  }
  return facts;
}
