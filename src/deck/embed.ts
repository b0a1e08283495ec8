import { charts } from '../charts/index.ts';
import { UserError } from '../errors.ts';
import type { RunRecord } from '../runs/schema.ts';
import { figures } from './figures.ts';
import type { MarkdownIt } from './markdown.ts';
import type { ReadRun } from './provenance.ts';

/** `![alt text](run:qlora/loss)`: the chart or table of a recorded run. */
export function embed(read: ReadRun) {
  return (md: MarkdownIt): void => figures(md, 'run', (path, alt) => {
    const [id = '', name = ''] = path.split('/');
    const chart = charts[id]?.[name];
    if (!chart) {
      const known = Object.entries(charts).flatMap(([run, names]) => Object.keys(names).map((one) => `run:${run}/${one}`));
      throw new UserError(`La diapositiva pide «run:${path}», que no existe; los hay: ${known.join(', ')}.`);
    }
    const record = read(id);
    if (!record) return { html: `<p class="sin-medir">Sin medir todavía: falta la ejecución ${id}, que escribe npm run record.</p>` };
    return { html: drawn(record, `${path} ${alt}`, () => chart(record, alt)), run: id };
  });
}

/** A chart of a record that has been drawn already is not drawn again: a talk draws its deck at each change. */
const known = new WeakMap<RunRecord, Map<string, string>>();

function drawn(record: RunRecord, name: string, draw: () => string): string {
  const charts = known.get(record) ?? new Map<string, string>();
  known.set(record, charts);
  const html = charts.get(name) ?? draw();
  charts.set(name, html);
  return html;
}
