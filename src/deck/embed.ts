import { charts } from '../charts/index.ts';
import { escapeHtml } from '../charts/table.ts';
import { UserError } from '../errors.ts';
import { isStale } from '../runs/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import type { MarkdownIt } from './markdown.ts';
import type { ReadRun } from './numbers.ts';

/** `![alt text](run:qlora/loss)`: the chart or table of a recorded run, with where its figures come from. */
export function embed(read: ReadRun) {
  return (md: MarkdownIt): void => {
    const image = md.renderer.rules.image!;
    md.validateLink = ((validate) => (url: string) => url.startsWith('run:') || validate(url))(md.validateLink.bind(md));
    md.renderer.rules.image = (tokens, index, options, env, self) => {
      const token = tokens[index]!;
      const source = /^run:([\w-]+)\/([\w-]+)$/.exec(token.attrGet('src') ?? '');
      return source ? drawn(read, source[1]!, source[2]!, token.content) : image(tokens, index, options, env, self);
    };
  };
}

function drawn(read: ReadRun, id: string, name: string, alt: string): string {
  const chart = charts[id]?.[name];
  if (!chart) {
    const known = Object.entries(charts).flatMap(([run, names]) => Object.keys(names).map((one) => `run:${run}/${one}`));
    throw new UserError(`La diapositiva pide «run:${id}/${name}», que no existe; los hay: ${known.join(', ')}.`);
  }
  const record = read(id);
  if (!record) return `<span class="medida-figura">sin medir todavía: npm run record</span>`;
  return `<span class="medida-figura">${chart(record, alt)}<small>${escapeHtml(caption(record))}</small></span>`;
}

/** When, on what and from which commit; and whether its inputs have changed since. */
export function caption(record: RunRecord): string {
  const { backend, machine, commit } = record.provenance;
  const day = new Date(record.startedAt).toLocaleDateString('es-ES', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
  return `${isStale(record) ? 'OBSOLETO · ' : ''}medido el ${day} · ${backend}, ${machine.cores} núcleos, Node ${machine.node.slice(1)}`
    + `${commit ? ` · ${commit}` : ''} · ${record.command}`;
}
