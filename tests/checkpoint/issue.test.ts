import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { expected, issueText, positiveInteger } from '../../src/checkpoint/issue.ts';

function textOf(schema: z.ZodType, value: unknown): string {
  const { error } = schema.safeParse(value, { error: expected });
  return issueText(error!.issues[0]!, value);
}

describe('what is the matter with a value names the field, what it has, and what was expected', () => {
  it.each([
    ['a field missing', { r: z.number() }, {}, 'falta «r» y se esperaba un número'],
    ['a count missing', { r: positiveInteger }, {}, 'falta «r» y se esperaba un entero mayor que 0'],
    ['a count of 0', { r: positiveInteger }, { r: 0 }, '«r» es 0 y se esperaba un entero mayor que 0'],
    ['a count with decimals', { r: positiveInteger }, { r: 1.5 }, '«r» es 1.5 y se esperaba un entero mayor que 0'],
    ['a text for a number', { r: z.number() }, { r: 'x' }, '«r» es «x» y se esperaba un número'],
    ['a number for a text', { r: z.string() }, { r: 1 }, '«r» es 1 y se esperaba un texto'],
    ['decimals for an integer', { r: z.int() }, { r: 1.5 }, '«r» es 1.5 y se esperaba un entero'],
    ['null for a switch', { r: z.boolean() }, { r: null }, '«r» es null y se esperaba true o false'],
    ['an object for a list', { r: z.array(z.number()) }, { r: {} }, '«r» es un objeto y se esperaba una lista'],
    ['a list for an object', { r: z.record(z.string(), z.number()) }, { r: [] }, '«r» es una lista y se esperaba un objeto'],
    ['a number too small', { r: z.number().min(2) }, { r: 1 }, '«r» es 1 y se esperaba un número de 2 o más'],
    ['a number not over', { r: z.number().gt(0) }, { r: 0 }, '«r» es 0 y se esperaba un número mayor que 0'],
    ['a number too large', { r: z.number().max(2) }, { r: 3 }, '«r» es 3 y se esperaba un número de 2 o menos'],
    ['a number not under', { r: z.number().lt(1) }, { r: 1 }, '«r» es 1 y se esperaba un número menor que 1'],
    ['a list too short', { r: z.array(z.number()).min(1) }, { r: [] }, '«r» es una lista y se esperaba una lista con 1 o más'],
    ['another constant', { r: z.literal('none') }, { r: 'all' }, '«r» es «all» y se esperaba «none»'],
    ['another name', { r: z.enum(['nf4', 'fp4', 'int4']) }, { r: 'x' }, '«r» es «x» y se esperaba «nf4», «fp4» o «int4»'],
    ['none of two types', { r: z.union([z.string(), z.array(z.string())]) }, { r: 1 }, '«r» es 1 y se esperaba un texto o una lista'],
    ['one of two types, wrong inside', { r: z.union([z.string(), z.object({ c: z.string() })]) }, { r: { c: 1 } },
      '«r.c» es 1 y se esperaba un texto'],
    ['a field too many', { r: z.strictObject({}) }, { r: { x: 1 } }, '«r» es un objeto y no se esperaba en él «x»'],
    ['what a schema says itself', { r: z.int({ error: 'solo se admite par' }) }, { r: 'x' }, '«r» es «x» y solo se admite par'],
    ['a place in a list', { r: z.array(z.object({ id: z.int() })) }, { r: [{ id: 1 }, {}] }, 'falta «r.1.id» y se esperaba un número'],
  ])('%s', (_what, fields, value, says) => {
    expect(textOf(z.object(fields), value)).toBe(says);
  });

  it('of the whole value, and of what no schema says in words', () => {
    expect(textOf(z.object({}), [])).toBe('es una lista y se esperaba un objeto');
    expect(textOf(z.object({ r: z.string().regex(/^a$/) }), { r: 'b' })).toBe('«r» es «b» y se esperaba otro valor');
  });
});
