import { describe, expect, it } from 'vitest';
import { altFaults } from '../../src/check/alt.ts';
import { pagesOf } from '../../src/check/slide.ts';
import { pages } from './pages.ts';

describe('alternative texts', () => {
  it('are there for pictures, charts, tables of figures and formulas', () => {
    expect(altFaults(pages('![una foto](foto.png)\n\n![La tabla](run:qlora/evaluation)\n\n![W](diagrama:lora)\n\n$$ a % una a $$'))).toEqual([]);
  });

  it.each([
    ['![](foto.png)', /^diapositiva 1: una imagen sin texto alternativo \(foto\.png\); escríbelo entre los corchetes$/],
    ['![ ](foto.png)', /sin texto alternativo/],
    ['$$ a $$', /^diapositiva 1: una fórmula sin lectura; escríbela dentro de ella, detrás de %$/],
    ['De $a$ a $b % be $', /fórmula sin lectura/],
  ])('are missed in %s', (markdown, fault) => {
    expect(altFaults(pages(markdown))).toEqual([expect.stringMatching(fault)]);
  });

  it('are missed in a drawing', () => {
    expect(altFaults(pagesOf([{ title: '', notes: [], html: '<section><svg role="img"></svg></section>' }]))).toHaveLength(1);
  });
});
