/** A cell; `best` sets it off. */
export type Cell = string | { readonly text: string; readonly best: boolean };

/** A table as HTML; the first row is its head, the first column names the rows. */
export function table(rows: readonly (readonly Cell[])[], alt: string): string {
  const [head = [], ...body] = rows;
  const cells = (row: readonly Cell[], tag: 'th' | 'td') => row.map((cell) => {
    const { text, best } = typeof cell === 'string' ? { text: cell, best: false } : cell;
    return `<${tag}${best ? ' class="mejor"' : ''}>${escapeHtml(text)}</${tag}>`;
  }).join('');
  return `<table class="medida" aria-label="${escapeHtml(alt)}"><thead><tr>${cells(head, 'th')}</tr></thead>`
    + `<tbody>${body.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table>`;
}

/** What stands under a chart or a table, in words. */
export const caption = (words: string): string => `<figcaption>${escapeHtml(unbroken(words))}</figcaption>`;

/** Words in which a percentage keeps its sign on its line. */
export const unbroken = (words: string): string => words.replaceAll(/(?<=\d) (?=%)/g, '\u00a0');

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
