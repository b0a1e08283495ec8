import { escapeHtml } from '../charts/table.ts';
import { staleness } from '../runs/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
import { dayOf, processorOf } from '../runs/words.ts';
import { htmlBlock } from './markdown.ts';
import type { MarkdownIt } from './markdown.ts';

/** The record of a run, if there is one. */
export type ReadRun = (id: string) => RunRecord | undefined;

/**
 * Under each slide, where its measured figures come from: one line a run, however many charts, tables and numbers
 * of it the slide shows. Those that put them there leave the run's id in `meta.runs` of their token.
 */
export function provenance(read: ReadRun) {
  return (md: MarkdownIt): void => {
    md.core.ruler.before('marpit_collect', 'provenance', (state) => {
      let runs = new Set<string>();
      const isStale = judge();
      state.tokens = state.tokens.flatMap((token) => {
        for (const id of (token.meta?.runs ?? []) as string[]) runs.add(id);
        if (token.type !== 'marpit_slide_close' || runs.size === 0) return [token];
        const [ids, lines] = [[...runs].join(' '), captions([...runs].map((id) => read(id)!), isStale)];
        runs = new Set();
        return [htmlBlock(state, `<div class="procedencia" data-ejecuciones="${ids}">${lines.join('')}</div>\n`), token];
      });
    });
  };
}

/** Whether a run would come out otherwise now. It takes reading a whole program: once a run. */
export function judge(): (record: RunRecord) => boolean {
  const known = new Map<string, boolean>();
  return (record) => {
    if (!known.has(record.id)) known.set(record.id, staleness(record).length > 0);
    return known.get(record.id)!;
  };
}

/** A line for the runs that share day, machine and commit, which closes with the commands that do them again. */
export function captions(records: readonly RunRecord[], isStale: (record: RunRecord) => boolean): string[] {
  const commands = new Map<string, string[]>();
  for (const record of records) {
    const origin = `${isStale(record) ? '<strong>OBSOLETO</strong> · ' : ''}${escapeHtml(caption(record))}`;
    commands.set(origin, [...commands.get(origin) ?? [], `<code>${escapeHtml(record.command)}</code>`]);
  }
  return [...commands].map(([origin, by]) => `<p>${origin} · ${[...new Set(by)].join(', ')}</p>`);
}

/** When, on what and from which commit. */
function caption(record: RunRecord): string {
  const { backend, machine, commit, dirty } = record.provenance;
  const from = commit === null ? [] : [`${commit}${dirty ? ' con cambios' : ''}`];
  return [`Medido aquí el ${dayOf(record)}`, `${backend}, ${machine.cores} núcleos (${processorOf(record)})`, ...from].join(' · ');
}
