import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Marp } from '@marp-team/marp-core';
import { readRun } from '../runs/store.ts';
import { code } from './code.ts';
import { diagrams } from './diagrams.ts';
import { embed } from './embed.ts';
import { ownHtml } from './markdown.ts';
import { notes } from './notes.ts';
import { numbers } from './numbers.ts';
import { provenance } from './provenance.ts';
import type { ReadRun } from './provenance.ts';
import { time } from './time.ts';

/** Options of Marp under which the page asks nothing of the network. */
export const marpOptions = {
  html: Marp.html,
  emoji: { shortcode: true, unicode: false },
  math: 'mathjax',
  script: { source: 'inline' },
  markdown: { typographer: true, quotes: '«»“”' },
} as const;

/** Adds the project's plugins and theme to a Marp. */
export function withPlugins(marp: Marp, read: ReadRun = (id) => readRun(id)): Marp {
  marp.use(ownHtml).use(code).use(numbers(read)).use(embed(read)).use(diagrams)
    .use(notes).use(time).use(provenance(read));
  marp.themeSet.default = marp.themeSet.add(theme());
  return marp;
}

/** The theme with its fonts inside. */
export function theme(): string {
  return readFileSync('assets/theme/modulo.css', 'utf8').replaceAll(/url\("\.\.\/fonts\/([\w-]+\.woff2)"\)/g,
    (_all, name: string) => `url("data:font/woff2;base64,${readFileSync(join('assets/fonts', name)).toString('base64')}")`);
}
