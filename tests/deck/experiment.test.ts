import { describe, expect, it } from 'vitest';
import { experimentIds } from '../../src/runs/experiments.ts';
import { render } from './record.ts';

describe('the experiment of a slide', () => {
  it('is told to the browser, on that slide alone, and is no note', () => {
    const { html, comments } = render('# Una\n\n<!-- experimento: qlora -->\n\n---\n\n# Otra');
    expect(html[0]).toMatch(/<section[^>]* data-experimento="qlora"/);
    expect(html[1]).not.toContain('data-experimento');
    expect(comments[0]).toEqual([]);
  });

  it('is refused when there is none of that name', () => {
    expect(() => render('<!-- experimento: nada -->')).toThrow(
      `La diapositiva pide el experimento «nada», que no existe; los hay: ${experimentIds.join(', ')}.`);
  });
});
