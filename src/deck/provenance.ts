import { escapeHtml } from '../charts/table.ts';
import { isStale } from '../runs/provenance.ts';
import type { RunRecord } from '../runs/schema.ts';
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
      state.tokens = state.tokens.flatMap((token) => {
        for (const id of (token.meta?.runs ?? []) as string[]) runs.add(id);
        if (token.type !== 'marpit_slide_close' || runs.size === 0) return [token];
        const lines = [...runs].map((id) => line(read(id)!));
        runs = new Set();
        return [htmlBlock(state, `<div class="procedencia">${lines.join('')}</div>\n`), token];
      });
    });
  };
}

function line(record: RunRecord): string {
  return isStale(record)
    ? `<p class="obsoleto"><strong>OBSOLETO</strong> · ${escapeHtml(caption(record))}</p>`
    : `<p>${escapeHtml(caption(record))}</p>`;
}

/** When, on what, from which commit, and the command that does it again. */
export function caption({ provenance: { backend, machine, commit, dirty }, startedAt, command }: RunRecord): string {
  const day = new Date(startedAt)
    .toLocaleDateString('es-ES', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' });
  const from = commit === null ? [] : [`${commit}${dirty ? ' con cambios' : ''}`];
  return [
    `Medido aquí el ${day}`, `${backend}, ${machine.cores} núcleos (${machine.cpu}), Node ${machine.node.slice(1)}`,
    ...from, command,
  ].join(' · ');
}

/** What stands where a figure will be. */
export const notMeasured = (id: string): string => `sin medir todavía: falta la ejecución ${id}; npm run record`;
