import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mayRunAway } from '../../src/data/backtracking.ts';

describe('an expression that may never come to an end', () => {
  it.each([
    '(a+)+$', '(a*)*', '(?:a|a)*b', '(a?){60}', '((a{1,3}){1,9}){1,9}', '(?i:a+)+z', '(|a)+', '([a-z]+)*9', '(x+x+)+y', '((a+))+',
    '.*.*.*.*=', '[\\s\\S]*'.repeat(9), 'a+(b+(c+(d+)))e', '(a{2,}){3}', '(?<n>a+)*', '(a+)+?', '(a+){2}', '(a+){2,}', '(a+){0,2}',
    'a{1,2}b{1,2}c{1,2}d{1,2}',
  ])('%s', (pattern) => expect(mayRunAway(pattern)).toBe(true));
});

describe('an expression that comes to an end', () => {
  it.each([
    '', 'a', '(a+)', '(a|b)', '(a|b)?', '(abc)+', '\\p{N}{1,3}', '[(+)*]+', '\\(a+\\)+', '(ab){2}', '(a{2}b)*', 'a+|b+|c+|d+|e+', '\\s+(?!\\S)',
    ')', '(', '[', '\\', '{', 'a{', '?', 'a+b+c+', '(a+b+c+)d', 'a+|b+c+d+', 'a?b?c?d?', '(a+)b+', '(a+){1}', '(a+){0,1}',
    // GPT-2, Llama 3, o200k, DeepSeek
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\s*[\\r\\n/]+",
    '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*',
  ])('%s', (pattern) => expect(mayRunAway(pattern)).toBe(false));

  it('those of our tokenizers', () => {
    const golden = join(import.meta.dirname, '../golden/tokenizers');
    const files = readdirSync(golden, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('tokenizer.json'));
    const texts = files.map((file) => readFileSync(join(golden, file), 'utf8'));
    const found = texts.flatMap((text) => [...text.matchAll(/"Regex": ?("(?:\\.|[^"\\])*")/g)].map(([, json]) => JSON.parse(json!) as string));
    expect(found.length).toBeGreaterThan(1);
    expect(found.filter(mayRunAway)).toEqual([]);
  });
});
