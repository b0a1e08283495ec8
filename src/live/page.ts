import { createHash } from 'node:crypto';
import { Marp } from '@marp-team/marp-core';
import { escapeHtml } from '../charts/table.ts';
import { marpOptions, themeCss, withPlugins } from '../deck/engine.ts';
import type { DeckOptions } from '../deck/engine.ts';
import { themes } from '../deck/look.ts';
import { deckHtml } from '../deck/marp-cli.ts';
import { plansOf, readMarkdown } from '../deck/slides.ts';
import type { Plan } from '../deck/slides.ts';

export interface Page {
  readonly html: string;
  /** Its content security policy: the scripts that are in it and our own, and nothing from elsewhere. */
  readonly policy: string;
  /** What its slides are called, and their shares of the talk. */
  readonly plans: readonly Plan[];
}

/**
 * Draws the page of a deck: Marp's player around the slides, and our script. marp-cli makes the player once; after
 * that only the slides are drawn, by the same Marp for as long as the themes are the same, which is many times faster.
 */
export class PageMaker {
  private shell: string | undefined;
  private marp: { readonly css: string; readonly drawing: DeckMarp } | undefined;

  constructor(private readonly deck: string, private readonly options: DeckOptions) {}

  /** @throws UserError if the deck cannot be read, or a slide asks for something that does not exist */
  async draw(): Promise<Page> {
    const markdown = readMarkdown(this.deck);
    const { html, css, comments } = this.drawing().render(markdown);
    this.shell ??= await playerOf(this.deck, this.options);
    const notes = comments.map((paragraphs, i) => (paragraphs.length === 0 ? '' :
      `<div class="bespoke-marp-note" data-index="${i}" tabindex="0">${paragraphs.map((text) => `<p>${escapeHtml(text)}</p>`).join('')}</div>`));
    return pageOf(this.shell.replace('<!--css-->', () => css).replace('<!--slides-->', () => html + notes.join('')), plansOf(html));
  }

  private drawing(): Marp {
    const css = themes.map(themeCss).join('\n');
    if (this.marp?.css !== css) {
      const drawing = withPlugins(new DeckMarp({ ...marpOptions, container: { tag: 'div', id: ':$p' } }), this.options);
      this.marp = { css, drawing };
    }
    return this.marp.drawing;
  }
}

/** A Marp that packs a style once: what an edit of the text leaves as it was. */
class DeckMarp extends Marp {
  private packed: { readonly from: string; readonly css: string } | undefined;

  protected override renderStyle(theme?: string): string {
    const from = JSON.stringify([theme, this.themeSetPackOptions()]); // the styles of the deck itself among them
    if (this.packed?.from !== from) this.packed = { from, css: super.renderStyle(theme) };
    return this.packed.css;
  }
}

/** The page that marp-cli makes of a deck, with marks in the place of what we draw: its theme, slides and notes. */
async function playerOf(deck: string, { look }: DeckOptions): Promise<string> {
  const page = await deckHtml(deck, { look });
  const [slides, script] = [page.indexOf('<div id=":$p">'), page.lastIndexOf('<script>')];
  const style = page.lastIndexOf('<style>', slides) + '<style>'.length;
  return `${page.slice(0, style)}<!--css-->${page.slice(page.indexOf('</style>', style), slides)}<!--slides-->`
    + page.slice(script).replace('</body>', () => '<script src="live.js"></script></body>');
}

function pageOf(html: string, plans: readonly Plan[]): Page {
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)]
    .map(([, text]) => `'sha256-${createHash('sha256').update(text!).digest('base64')}'`);
  const policy = [
    "default-src 'none'", `script-src 'self' ${[...new Set(scripts)].join(' ')}`, "style-src 'unsafe-inline'",
    'img-src data:', 'font-src data:', "connect-src 'self'", "frame-src 'self'", "frame-ancestors 'self'",
    "base-uri 'none'", "form-action 'none'",
  ].join('; ');
  return { html, policy, plans };
}
