import { Marp } from '@marp-team/marp-core';
import { describe, expect, it } from 'vitest';
import { marpOptions, withPlugins } from '../../src/deck/engine.ts';
import { render } from './record.ts';

describe('notes', () => {
  it('turns the line into a presenter note of its slide, and takes it off the slide', () => {
    const { html, comments } = render('# Una\n\n^ **Notas:** Mostrar `model.x_y()` y *sweeps*.\n\n---\n\n# Otra');
    expect(comments).toEqual([['Mostrar model.x_y() y sweeps.'], []]);
    expect(html[0]).not.toContain('Mostrar');
    expect(html[0]).not.toContain('^');
  });

  it('keeps every word and quotation mark inside code', () => {
    expect(render('^ **Notas:** Iniciar con `target_modules=["q_proj","v_proj"]`.').comments)
      .toEqual([['Iniciar con target_modules=["q_proj","v_proj"].']]);
  });

  it('takes a note without the word, several lines, and several notes', () => {
    expect(render('^ Uno\ndos\n\ntexto\n\n^ **Notas:** tres').comments).toEqual([['Uno\ndos', 'tres']]);
  });

  it('fills in measured figures', () => {
    expect(render('^ **Notas:** Son {{qlora.training.steps}} pasos.').comments).toEqual([['Son 125 pasos.']]);
  });

  it('can be left out, whoever wrote them; what the other comments ask for stays', () => {
    const marp = withPlugins(new Marp(marpOptions), { notes: false });
    const { html, comments } = marp.render('# Una\n\n<!-- tiempo: 90s -->\n\n^ **Notas:** Dilo.\n\n<!-- Y esto. -->\n\nTexto <!-- y aquello -->.');
    expect(comments).toEqual([[]]);
    expect(html).toContain('data-tiempo="90"');
    expect(html).toContain('Texto');
    expect(html).not.toMatch(/Dilo|Y esto|y aquello/);
  });

  it.each(['texto con ^ dentro', '^sin espacio', 'antes\n^ después'])('leaves «%s» on the slide', (line) => {
    const { html, comments } = render(line);
    expect(html[0]).toMatch(/<p>.*\^.*<\/p>/s);
    expect(comments).toEqual([[]]);
  });
});
