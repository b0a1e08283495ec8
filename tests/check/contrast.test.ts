import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { contrast, tokenFaults, written } from '../../src/check/contrast.ts';
import { themes } from '../../src/deck/look.ts';

const theme = (name: string) => readFileSync(`assets/theme/${name}.css`, 'utf8');

describe('contrast', () => {
  it('is that of WCAG', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
    expect(contrast('#767676', '#ffffff')).toBeCloseTo(4.54, 2);
    expect(contrast('#123456', '#123456')).toBe(1);
  });

  it('is never written as more than it is', () => {
    expect(written(6.999)).toBe('6,99:1');
    expect(written(7)).toBe('7,00:1');
  });
});

describe('the tokens', () => {
  it('of the two themes stand out, 7:1 what is read and 3:1 what is drawn', () => {
    expect(tokenFaults(Object.fromEntries(themes.map((name) => [name, theme(name)])))).toEqual([]);
  });

  it.each([
    ['--quiet: light-dark(#434b59, #b9c0cc)', '--quiet: light-dark(#434b59, #7f8794)', /^modulo\.css: --quiet sobre --ground a oscuras, 5,\d\d:1 y hacen falta 7:1$/],
    ['--quiet: light-dark(#434b59, #b9c0cc)', '--quiet: light-dark(#9199a6, #b9c0cc)', /--quiet sobre --ground en papel, 2,\d\d:1/],
    ['--line: light-dark(#7b8494, #6d778a)', '--line: light-dark(#7b8494, #3a4252)', /--line sobre --ground a oscuras, 1,\d\d:1 y hacen falta 3:1/],
    ['--panel: light-dark(#f0f3f7, #181d26)', '--panel: light-dark(#f0f3f7, #303848)', /--learns sobre --panel a oscuras/],
    ['color: var(--quiet);', 'color: #888;', /^modulo\.css: el color «#888» no es de los que declara :root$/],
    ['color: var(--quiet);', 'color: rgb(1 2 3);', /«rgb\(»/],
  ])('with %s as %s are told', (before, after, fault) => {
    const css = theme('modulo');
    expect(css).toContain(before);
    expect(tokenFaults({ modulo: css.replace(before, after) })).toContainEqual(expect.stringMatching(fault));
  });
});
