import { UserError } from '../errors.ts';
import { formatBytes, formatDuration, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import type { MarkdownIt, Token } from './markdown.ts';
import type { ReadRun } from './provenance.ts';

const formats: Record<string, (value: number) => string> = {
  porcentaje: (value) => formatPercent(value, 1, true),
  bytes: formatBytes,
  tiempo: formatDuration,
  entero: (value) => formatNumber(value),
};

/**
 * `{{qlora.evaluation.after.exactMatch | porcentaje}}`: a figure of a recorded run, as a Spanish reader expects it.
 * In a table the bar is written `\|`.
 */
export function numbers(read: ReadRun) {
  return (md: MarkdownIt): void => {
    md.core.ruler.after('text_join', 'numbers', ({ tokens }) => {
      for (const token of tokens) if (token.children) fill(token, read);
    });
  };
}

function fill(inline: Token, read: ReadRun): void {
  const runs = new Set<string>();
  for (const child of inline.children!) {
    if (child.type !== 'text' && child.type !== 'code_inline') continue;
    child.content = child.content.replaceAll(/\{\{\s*([\w-]+)\.([\w.]+)\s*(?:\|\s*([\w:]+)\s*)?\}\}/g,
      (_all, id: string, path: string, format?: string) => {
        const record = read(id);
        if (!record) return '(sin medir)';
        runs.add(id);
        return figure(record, path, format);
      });
  }
  if (runs.size > 0) inline.meta = { ...inline.meta, runs: [...runs] };
}

function figure({ id, results }: RunRecord, path: string, format: string | undefined): string {
  let value: unknown = results;
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key];
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') {
    throw new UserError(`La diapositiva pide {{${id}.${path}}} y la ejecución «${id}» no tiene esa cifra; `
      + `las hay en ${Object.keys(results).join(', ')}.`);
  }
  return written(value, format, `{{${id}.${path}}}`).replaceAll(' ', '\u00a0'); // a number keeps its unit beside it
}

function written(value: number, format: string | undefined, asked: string): string {
  if (format === undefined) return formatSignificant(value);
  const decimals = /^decimales:(\d+)$/.exec(format);
  if (decimals) return formatNumber(value, Number(decimals[1]), true);
  const known = formats[format];
  if (!known) {
    throw new UserError(`El formato «${format}» de ${asked} no existe; los hay: `
      + `${Object.keys(formats).join(', ')}, decimales:N.`);
  }
  return known(value);
}
