import { parseHTML } from 'linkedom';

/** What a chart or table draws, to be looked into. */
export const parse = (html: string) => parseHTML(`<html><body>${html}</body></html>`).document;

/** All words of it, those of the drawing and those under it. */
export const words = (html: string) => parse(html).body.textContent!;

/** The cells of a table. */
export const rows = (html: string) =>
  [...parse(html).querySelectorAll('tr')].map((row) => [...row.children].map((cell) => cell.textContent));
