/** A cell; `best` sets it off. */
export type Cell = string | { readonly text: string; readonly best: boolean };

/** A table as HTML; the first row is its head, the first column names the rows. */
export function table(rows: readonly (readonly Cell[])[], alt: string): string {
  const [head = [], ...body] = rows;
  const cells = (row: readonly Cell[], scope: 'col' | 'row') => row.map((cell, i) => {
    const { text, best } = typeof cell === 'string' ? { text: cell, best: false } : cell;
    const [open, close] = scope === 'col' || i === 0 ? [`th scope="${scope}"`, 'th'] : ['td', 'td'];
    return `<${open}${best ? ' class="mejor"' : ''}>${escapeHtml(text)}</${close}>`;
  }).join('');
  return `<table class="medida" aria-label="${escapeHtml(alt)}"><thead><tr>${cells(head, 'col')}</tr></thead>`
    + `<tbody>${body.map((row) => `<tr>${cells(row, 'row')}</tr>`).join('')}</tbody></table>`;
}

/** What stands under a chart or a table, in words. */
export const caption = (words: string): string => `<figcaption>${escapeHtml(unbroken(words))}</figcaption>`;

/** Words in which a percentage keeps its sign on its line. */
export const unbroken = (words: string): string => words.replaceAll(/(?<=\d) (?=%)/g, '\u00a0');

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
