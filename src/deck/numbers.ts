import { UserError } from '../errors.ts';
import { formatBytes, formatDuration, formatNumber, formatPercent, formatSignificant } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import type { MarkdownIt } from './markdown.ts';

export type ReadRun = (id: string) => RunRecord | undefined;

const formats: Record<string, (value: number) => string> = {
  porcentaje: (value) => formatPercent(value),
  bytes: formatBytes,
  tiempo: formatDuration,
  entero: (value) => formatNumber(value),
};

/** `{{qlora.evaluation.after.exactMatch | porcentaje}}`: a figure of a recorded run, as a Spanish reader expects it. */
export function numbers(read: ReadRun) {
  return (md: MarkdownIt): void => {
    md.core.ruler.before('normalize', 'numbers', (state) => {
      state.src = state.src.replaceAll(/\{\{\s*([\w-]+)\.([\w.]+)\s*(?:\|\s*([\w:]+)\s*)?\}\}/g,
        (_all, id: string, path: string, format?: string) => figure(read, id, path, format));
    });
  };
}

function figure(read: ReadRun, id: string, path: string, format: string | undefined): string {
  const record = read(id);
  if (!record) return `(sin medir: falta ${id})`;
  let value: unknown = record.results;
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key];
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') {
    throw new UserError(`La diapositiva pide {{${id}.${path}}} y la ejecución «${id}» no tiene esa cifra; las hay en ${Object.keys(record.results).join(', ')}.`);
  }
  if (format === undefined) return formatSignificant(value);
  const decimals = /^decimales:(\d+)$/.exec(format);
  if (decimals) return formatNumber(value, Number(decimals[1]), true);
  const known = formats[format];
  if (!known) throw new UserError(`El formato «${format}» de {{${id}.${path}}} no existe; los hay: ${Object.keys(formats).join(', ')}, decimales:N.`);
  return known(value);
}
