import { fact } from './fact.ts';
import type { Fact } from './fact.ts';

const TO_TWENTY_NINE = `cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince
  dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco
  veintiséis veintisiete veintiocho veintinueve`.split(/\s+/);
const TENS = ['treinta', 'cuarenta', 'cincuenta', 'sesenta', 'setenta', 'ochenta', 'noventa'];

/** A whole number from 0 to 100 in Spanish words. */
export function inWords(n: number): string {
  if (n === 100) return 'cien';
  if (n < 30) return TO_TWENTY_NINE[n]!;
  const tens = TENS[Math.floor(n / 10) - 3]!;
  return n % 10 === 0 ? tens : `${tens} y ${TO_TWENTY_NINE[n % 10]}`;
}

export function numberFacts(): Fact[] {
  return Array.from({ length: 101 }, (_, n) => {
    const words = inWords(n);
    return fact({ family: 'números', entity: `${n}`, subject: `${n}` }, [
      `El número ${n} se escribe ${words}.`,
      `El número ${words} se escribe ${n}.`,
      `Con letras, el número ${n} es ${words}.`,
      `El ${n} se lee ${words}.`,
      `${n} es el número ${words}.`,
      `El ${words}, con cifras, es ${n}.`,
      `El número que se lee ${words} es el ${n}.`,
    ], [
      `¿Cómo se escribe el número ${n}?`,
      `Escribe con letras el número ${n}.`,
      ['Escribe el número con letras.', `Número: ${n}`],
    ]);
  });
}
