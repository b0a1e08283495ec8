import { expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { render } from './record.ts';

it('draws a diagram, which is no measurement and says nothing of a machine', () => {
  const [html] = render('![W más B por A](diagrama:lora)').html;
  expect(html).toMatch(/<figure><svg[^>]*aria-label="W más B por A"/);
  expect(html).not.toContain('procedencia');
});

it('refuses an unknown one, and names those that there are', () => {
  expect(() => render('![x](diagrama:nada)')).toThrow(UserError);
  expect(() => render('![x](diagrama:nada)')).toThrow(/«diagrama:nada», que no existe; los hay: nf4, lora/);
});
