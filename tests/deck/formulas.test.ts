import { expect, it } from 'vitest';
import { render } from './record.ts';

it('draws a formula on this machine, and names its drawing by its reading', () => {
  const [html] = render('$$ y = \\frac{a}{b} % y es "a" entre b $$').html;
  expect(html).toMatch(/<mjx-container[^>]*><svg aria-label="y es &quot;a&quot; entre b"[^>]* role="img"/);
  expect(html).toContain('<path');
  expect(html!.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/);
});

it('does so within a line', () => {
  expect(render('Sea $x % equis\n$ así.').html[0]).toMatch(/Sea <mjx-container[^>]*><svg aria-label="equis"/);
});

it('leaves one without reading as it is', () => {
  expect(render('$$ y $$').html[0]).not.toContain('aria-label');
});
