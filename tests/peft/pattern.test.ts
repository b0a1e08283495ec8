import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fullMatch } from '../../src/peft/pattern.ts';
import { userErrorOf } from '../temporary.ts';

const { texts, matches } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../golden/patterns/matches.json'), 'utf8'),
) as { texts: string[]; matches: Record<string, string> };

const field = 'adapter_config.json: target_modules';

describe('a regular expression matches the whole text as in Python:', () => {
  it.each(Object.keys(matches))('%s', (pattern) => {
    const isMatch = fullMatch(pattern, field);
    expect(texts.filter(isMatch)).toEqual(texts.filter((_, i) => matches[pattern]![i] === '1'));
  });
});

describe('what is not done here is refused by name:', () => {
  it.each([
    [String.raw`(a)\1`, String.raw`«\1»`],
    ['(?P<x>a)(?P=x)', '«(?P=»'],
    ['(a)?(?(1)b|c)', '«(?(»'],
    ['(?>a+)b', '«(?>»'],
    ['a++', '«++»'],
    ['a{2}+', '«{2}+»'],
    [String.raw`\N{BULLET}`, String.raw`«\N»`],
    [String.raw`\p{L}`, String.raw`«\p»`],
    ['a(?i)b', '«(?i»'],
    ['(?x)a b', '«(?x»'],
    ['(?<x>a)', '«(?<x>»'],
  ])('%s', (pattern, says) => {
    expect(userErrorOf(() => fullMatch(pattern, field), field)).toContain(says);
  });
});

describe('an expression that is none is refused:', () => {
  it.each(['(', ')', 'a)', '(a', '[a', '[', '[]', '*', '+a', '(*)', 'a**', 'a{2,1}', '[z-a]', String.raw`[\w-a]`, 'a\\', String.raw`\x6`,
    String.raw`\u00`, '(?', '(?#', '(?P', '(?P<x', '(?P<>a)', '(?<', '|*'])('%s', (pattern) => {
    expect(userErrorOf(() => fullMatch(pattern, field), field)).toContain('expresión regular');
  });
});

describe('an expression from outside cannot stop the program:', () => {
  const path = 'model.layers.10.self_attn.q_proj';
  const quickly = (pattern: string, text: string) => {
    const began = performance.now();
    const result = fullMatch(pattern, field)(text);
    expect(performance.now() - began).toBeLessThan(2000);
    return result;
  };

  it.each([
    ['(.*)*x', path, false],
    ['((((.*)*)*)*)*x', path, false],
    ['(a|a)*b', 'a'.repeat(500), false],
    ['(a|aa|aaa)*', 'a'.repeat(500), true],
    [`${'.*'.repeat(200)}x`, path, false],
    ['(a{1,1000000}){1,1000000}b', 'a'.repeat(50), false],
    ['(a?){999999999}', 'aaa', true],
    ['(?:(?=(a*)*b)a)*', 'a'.repeat(100), false],
  ])('%s', (pattern, text, result) => {
    expect(quickly(pattern, text)).toBe(result);
  });

  it('one that costs too much is refused', () => {
    expect(userErrorOf(() => fullMatch('.*'.repeat(5000), field)('a'.repeat(5000)), field)).toContain('cuesta demasiado');
  });

  it('one nested too deep is refused', () => {
    expect(userErrorOf(() => fullMatch('('.repeat(100_000), field), field)).toContain('anida');
  });

  it('and a long one is shown cut', () => {
    expect(userErrorOf(() => fullMatch(`${'a'.repeat(5000)}(`, field), field).length).toBeLessThan(300);
  });
});
