import { readFileSync } from 'node:fs';
import { Marp } from '@marp-team/marp-core';
import { parseHTML } from 'linkedom';
import { charts } from '../charts/index.ts';
import { escapeHtml } from '../charts/table.ts';
import { experiments } from '../runs/experiments.ts';
import type { Experiment, ExperimentId } from '../runs/experiments.ts';
import { readRun } from '../runs/store.ts';
import { marpOptions, withPlugins } from './engine.ts';
import type { DeckOptions } from './engine.ts';
import type { Look } from './look.ts';
import type { MarkdownIt } from './markdown.ts';
import { captions, judge } from './provenance.ts';
import { readMarkdown } from './slides.ts';

export interface HandoutOptions extends Pick<DeckOptions, 'read' | 'notes'> {
  readonly size?: Look['size'];
}

/**
 * What is read after the talk, to be printed on A4: each slide above its notes, and below them all that its experiment
 * measured, of which the slide has room for a chart or two. Always light.
 * @throws UserError if the deck cannot be read, or a slide asks for something that does not exist
 */
export function handoutHtml(deck: string, { read = (id) => readRun(id), size, notes }: HandoutOptions = {}): string {
  const marp = withPlugins(new Marp({ ...marpOptions, script: false, printable: false }), { read, notes, look: { theme: 'claro', size } });
  const written = new Map<string, string>(); // a note as Marp tells it, and with its code and emphasis
  marp.use((md: MarkdownIt) => md.core.ruler.after('notes', 'written', ({ tokens }) => {
    for (const { content, meta } of tokens) if (typeof meta?.html === 'string') written.set(content, meta.html);
  }));
  let title: string | undefined;
  marp.customDirectives.global.title = (value) => { // which marp-cli knows, and marp-core does not
    if (typeof value === 'string') title = value;
    return {};
  };
  const { html, css, comments } = marp.render(readMarkdown(deck), { htmlAsArray: true });
  const isStale = judge();
  const sheets = html.map((slide, i) => {
    const { document } = parseHTML(`<html><body>${slide}</body></html>`);
    const id = document.querySelector('section')!.dataset.experimento as ExperimentId | undefined;
    const [experiment, record] = id && read(id) ? [experiments[id] as Experiment, read(id)!] : [];
    const shown = document.querySelector<HTMLElement>('.procedencia')?.dataset.ejecuciones?.split(' ') ?? [];
    const runs = [...new Set([...shown, ...record ? [record.id] : []])].map((run) => read(run)!);
    const figures = experiment && record ? Object.entries(experiment.charts).map(([name, alt]) =>
      `<figure>${charts[id!]![name]!(record, alt)}<figcaption>${escapeHtml(alt)}.</figcaption></figure>`) : [];
    return `<article><div class="marpit">${slide}</div>`
      + part('notas', 'Notas', comments[i]!.flatMap((note) => written.get(note) ?? note.split(/\n{2,}/).map(escapeHtml)).map((note) => `<p>${note}</p>`))
      + part('medidas', experiment ? `Lo medido: ${experiment.title}` : '', figures)
      + part('origen', '', captions(runs, isStale)) + '</article>';
  });
  title ??= parseHTML(`<html><body>${html[0] ?? ''}</body></html>`).document.querySelector('h1')?.textContent ?? '';
  return `<!doctype html><html lang="es"><head><meta charset="utf-8"><title>${escapeHtml(title)} · apuntes</title><style>${css}\n${style()}</style></head>`
    + `<body>${sheets.join('\n')}</body></html>`;
}

const part = (name: string, title: string, pieces: readonly string[]): string => (pieces.length === 0 ? '' :
  `<div class="${name}">${title && `<h3>${escapeHtml(title)}</h3>`}${pieces.join('')}</div>`);

/** The theme's tokens, for what is not in a slide, and how a sheet looks. */
function style(): string {
  const tokens = /^:root \{.*?^\}/ms.exec(readFileSync('assets/theme/modulo.css', 'utf8'))![0];
  return `${tokens}\n${readFileSync('assets/theme/apuntes.css', 'utf8')}`;
}
