import { pagesOf } from '../../src/check/slide.ts';
import type { Page } from '../../src/check/slide.ts';
import { render } from '../deck/record.ts';

/** The slides of a Markdown text, as the checks read them. */
export function pages(markdown: string): Page[] {
  const { html, comments } = render(markdown);
  return pagesOf(html.map((slide, i) => ({ title: '', notes: comments[i]!, html: slide })));
}
