import { parseHTML } from 'linkedom';
import type { Slide } from '../deck/slides.ts';

/** A slide as the checks read it. */
export interface Page {
  readonly number: number;
  readonly document: Document;
  readonly notes: readonly string[];
}

export function pagesOf(slides: readonly Slide[]): Page[] {
  return slides.map(({ html, notes }, i) => ({
    number: i + 1,
    document: parseHTML(`<!doctype html><html><body>${html}</body></html>`).document as unknown as Document,
    notes,
  }));
}

/** Where a fault is, as its reader looks for it. */
export const at = (page: Page, what: string): string => `diapositiva ${page.number}: ${what}`;

/**
 * What a slide says in Spanish, piece by piece: its text, its notes and what its pictures are called. Not code, nor
 * formulas, nor where its figures come from, which names machines and commands, nor what is marked as no language's.
 */
export function spoken({ document, notes }: Page): string[] {
  const pieces: string[] = [...notes];
  const read = (node: Node) => {
    if (node.nodeType === 3) {
      pieces.push(node.textContent ?? '');
    } else if (node.nodeType === 1 && !(node as Element).matches('code, pre, style, script, .procedencia, [lang=zxx]')) {
      const label = (node as Element).getAttribute('aria-label') ?? (node as Element).getAttribute('alt');
      if (label) pieces.push(label);
      node.childNodes.forEach(read);
    }
  };
  read(document.body);
  return pieces.filter((piece) => piece.trim() !== '');
}
