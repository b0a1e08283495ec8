/** A table as HTML; the first row is its head, the first column names the rows. */
export function table(rows: readonly (readonly string[])[], alt: string): string {
  const [head = [], ...body] = rows;
  const cells = (row: readonly string[], tag: 'th' | 'td') => row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('');
  return `<table class="medida" aria-label="${escapeHtml(alt)}"><thead><tr>${cells(head, 'th')}</tr></thead>`
    + `<tbody>${body.map((row) => `<tr>${cells(row, 'td')}</tr>`).join('')}</tbody></table>`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
