import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { render } from './record.ts';

const times = (html: string[]) => html.map((slide) => /<section[^>]* data-tiempo="(\d+)"/.exec(slide)?.[1]);

describe('the time of a slide', () => {
  it('is on its section, in seconds, and on no other slide', () => {
    const { html } = render('# Una\n\n<!-- tiempo: 90s -->\n\n---\n\n# Otra\n\n---\n\n<!-- tiempo: 10 min -->\n# Tercera');
    expect(times(html)).toEqual(['90', undefined, '600']);
  });

  it('is no note, and leaves the notes that there are', () => {
    expect(render('# Una\n\n<!-- tiempo: 90s -->\n\n^ **Notas:** Dilo.\n\n<!-- Y esto: ya. -->').comments).toEqual([['Dilo.', 'Y esto: ya.']]);
  });

  it.each(['pronto', '1,5min', '0s', '-3s', '90', '', '1h'])('refuses «%s»', (value) => {
    expect(() => render(`<!-- tiempo: ${value} -->`)).toThrow(UserError);
    expect(() => render(`<!-- tiempo: ${value} -->`)).toThrow(`«tiempo: ${value}» no es el tiempo de una diapositiva`);
  });

  it('refuses two in a slide', () => {
    expect(() => render('<!-- tiempo: 90s -->\n\n<!-- tiempo: 60s -->')).toThrow(/dos tiempos: quita «tiempo: 60s»/);
  });
});
