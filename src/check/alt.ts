import { at } from './slide.ts';
import type { Page } from './slide.ts';

/** Pictures, charts, tables of figures and formulas that say nothing to who cannot see them. */
export function altFaults(pages: readonly Page[]): string[] {
  return pages.flatMap((page) => [...page.document.querySelectorAll('img, svg[role="img"], table.medida')].flatMap((drawing) => {
    if ((drawing.getAttribute('aria-label') ?? drawing.getAttribute('alt') ?? '').trim() !== '') return [];
    const formula = drawing.closest('mjx-container') !== null;
    return [at(page, formula
      ? 'una fórmula sin lectura; escríbela dentro de ella, detrás de %'
      : `una imagen sin texto alternativo (${drawing.getAttribute('src')?.slice(0, 60) ?? drawing.tagName.toLowerCase()}); escríbelo entre los corchetes`)];
  }));
}
