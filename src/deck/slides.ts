import { readFileSync } from 'node:fs';
import { Marp } from '@marp-team/marp-core';
import { parseHTML } from 'linkedom';
import { readError } from '../checkpoint/files.ts';
import { marpOptions, withPlugins } from './engine.ts';
import type { ReadRun } from './provenance.ts';

export interface Slide {
  readonly title: string;
  /** Its presenter notes, a paragraph each. */
  readonly notes: readonly string[];
  /** Its share of the talk, in seconds. */
  readonly seconds?: number;
  readonly html: string;
}

/** @throws UserError if the file cannot be read */
export function readMarkdown(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw readError(file, error);
  }
}

/**
 * The slides of a deck, drawn.
 * @throws UserError if the file cannot be read, or a slide asks for something that does not exist
 */
export function readSlides(file: string, read?: ReadRun): Slide[] {
  const marp = withPlugins(new Marp(marpOptions), { read });
  const { html, comments } = marp.render(readMarkdown(file), { htmlAsArray: true });
  return html.map((slide, i) => {
    const { document } = parseHTML(slide);
    const time = document.querySelector('section')!.getAttribute('data-tiempo');
    return {
      title: document.querySelector('h1, h2')?.textContent ?? '',
      notes: comments[i]!,
      seconds: time === null ? undefined : Number(time),
      html: slide,
    };
  });
}

/** What a slide is called, and its share of the talk in seconds. */
export type Plan = Pick<Slide, 'title' | 'seconds'>;

/** The slides of a page, for whoever times them. */
export function plansOf(html: string): Plan[] {
  return html.split(/(?=<section )/).slice(1).map((slide) => {
    const [time, heading] = [/^[^>]* data-tiempo="(\d+)"/.exec(slide)?.[1], /<(h[12])\b[^>]*>.*?<\/\1>/s.exec(slide)?.[0]];
    const title = heading === undefined ? '' : parseHTML(`<body>${heading}</body>`).document.querySelector('h1, h2')!.textContent;
    return { title, seconds: time === undefined ? undefined : Number(time) };
  });
}

/** What to say at each slide, as text to print or to keep at hand. */
export function notesText(slides: readonly Slide[]): string {
  return slides.map(({ title, notes }, i) => `${i + 1}. ${title}\n\n${notes.join('\n\n')}\n`).join('\n\n');
}
