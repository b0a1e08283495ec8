import { describe, expect, it } from 'vitest';
import { charts } from '../../src/charts/index.ts';
import { caption, table } from '../../src/charts/table.ts';
import { record } from '../deck/record.ts';
import { rows } from './drawing.ts';

describe('tables', () => {
  it('keep a figure of their caption beside its unit', () => {
    expect(caption('Un 45 % más, en 2 de 3.')).toBe('<figcaption>Un 45\u00a0% más, en 2 de 3.</figcaption>');
  });

  it('escape what they are given, and shorten long answers', () => {
    expect(table([['<a>'], ['b & "c"', '1']], 'd"')).toBe('<table class="medida" aria-label="d&quot;"><thead><tr><th scope="col">&lt;a&gt;</th></tr></thead>'
      + '<tbody><tr><th scope="row">b &amp; &quot;c&quot;</th><td>1</td></tr></tbody></table>');
    const samples = [{ instruction: 'Di', input: '', expected: '', before: '', after: 'x'.repeat(60) }];
    expect(rows(charts.qlora!.samples!(record({ results: { samples } }), ''))[1]).toEqual(['Di', '(nada)', `${'x'.repeat(43)}…`]);
  });
});
