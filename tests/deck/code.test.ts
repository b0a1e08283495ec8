import { describe, expect, it } from 'vitest';
import { region, withRegion } from '../../src/deck/code.ts';
import { UserError } from '../../src/errors.ts';
import { render } from './record.ts';

const program = `function f() {
  // #region one
  const a = 1;

  if (a) {
    b();
  }
  // #endregion
}
// #region two
c();
// #endregion
// #region open
`;

describe('a region of a program', () => {
  it('is the lines between its marks, without the indentation that they share', () => {
    expect(region(program, 'one', 'x.ts')).toBe('const a = 1;\n\nif (a) {\n  b();\n}\n');
    expect(region(program, 'two', 'x.ts')).toBe('c();\n');
  });

  it.each([
    ['three', /la región «three» de «x\.ts», que no existe; las hay: one, two, open/],
    ['open', /la región «open» de «x\.ts», que no termina/],
    ['on', /no existe/],
  ])('refuses %s', (name, message) => {
    expect(() => region(program, name, 'x.ts')).toThrow(UserError);
    expect(() => region(program, name, 'x.ts')).toThrow(message);
  });

  it('says that a program has none', () => {
    expect(() => region('a();\n', 'one', 'x.ts')).toThrow(/las hay: ninguna/);
  });
});

describe('a fence that names a region', () => {
  it('shows the program, coloured', () => {
    const [html] = render('```ts demo/checkpointing.ts#checkpointing\notra cosa\n```').html;
    expect(html).toContain('lossAndGradients');
    expect(html).toContain('language-ts');
    expect(html).toContain('hljs-keyword');
    expect(html).not.toContain('otra cosa');
    expect(html).not.toContain('region');
  });

  it('leaves other fences as they are', () => {
    expect(render('```ts\nconst a = 1;\n```').html[0]).toMatch(/language-ts.*const/s);
  });

  it('refuses a program that is not there', () => {
    expect(() => render('```ts demo/nada.ts#uno\n```')).toThrow(/«demo\/nada\.ts», que no existe/);
  });
});

describe('a program with other code in the place of a region', () => {
  const text = 'a\n  // #region x\n  if (b) {\n    c();\n  }\n  // #endregion\nd\n';

  it('has it there, indented as the region was, and is otherwise the same', () => {
    expect(withRegion(text, 'x', 'p.ts', 'e(\n  f,\n\n);\n')).toEqual({
      text: 'a\n  // #region x\n  e(\n    f,\n\n  );\n  // #endregion\nd\n', line: 2, indent: 2,
    });
  });

  it.each(['', '\n\n'])('has it there where nothing was: %j', (nothing) => {
    const empty = `a\n// #region x\n${nothing}// #endregion\n`;
    expect(withRegion(empty, 'x', 'p.ts', 'b')).toEqual({ text: 'a\n// #region x\nb\n// #endregion\n', line: 2, indent: 0 });
  });

  it('is the program itself when the code is its own', () => {
    expect(withRegion(text, 'x', 'p.ts', region(text, 'x', 'p.ts')).text).toBe(text);
  });
});
