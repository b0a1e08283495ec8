import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Marp } from '@marp-team/marp-core';
import { readRun } from '../runs/store.ts';
import { code } from './code.ts';
import { diagrams } from './diagrams.ts';
import { embed } from './embed.ts';
import { experiment } from './experiment.ts';
import { formulas } from './formulas.ts';
import { dress, themes } from './look.ts';
import type { Look, Theme } from './look.ts';
import { ownHtml } from './markdown.ts';
import { notes, withoutNotes } from './notes.ts';
import { numbers } from './numbers.ts';
import { plans } from './plan.ts';
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

export interface DeckOptions {
  readonly read?: ReadRun;
  /** Instead of what the deck's front matter says. */
  readonly look?: Look;
  /** False leaves the presenter's notes out. */
  readonly notes?: boolean;
}

/** What our commands tell `marp.config.ts`, which Marp reads on its own. */
export type Edition = Pick<DeckOptions, 'look' | 'notes'>;

export const editionOf = ({ DECK_EDITION }: NodeJS.ProcessEnv): Edition => JSON.parse(DECK_EDITION ?? '{}') as Edition;

/** Adds the project's plugins and themes to a Marp. */
export function withPlugins<Drawing extends Marp>(
  marp: Drawing, { read = (id) => readRun(id), look = {}, notes: keepsNotes = true }: DeckOptions = {},
): Drawing {
  marp.use(dress(look)).use(ownHtml).use(code).use(numbers(read)).use(embed(read)).use(diagrams).use(plans)
    .use(formulas).use(notes).use(time).use(experiment).use(provenance(read));
  if (!keepsNotes) marp.use(withoutNotes);
  for (const name of themes) marp.themeSet.add(themeCss(name));
  marp.themeSet.default = marp.themeSet.get('modulo');
  return marp;
}

/** A theme with its fonts inside; the base of both has the styles of the run panel too. */
export function themeCss(name: Theme): string {
  const styles = [name, ...(name === 'modulo' ? ['live'] : [])].map((file) => readFileSync(`assets/theme/${file}.css`, 'utf8'));
  return styles.join('\n').replaceAll(/url\("\.\.\/fonts\/([\w-]+\.woff2)"\)/g,
    (_all, name: string) => `url("data:font/woff2;base64,${readFileSync(join('assets/fonts', name)).toString('base64')}")`);
}
