import type { MarkdownIt } from './markdown.ts';

/** Dark, for a room; light, for print. */
export const themes = ['modulo', 'claro'] as const;
/** Of Marp, as the theme's `@size` lines measure them. */
export const sizes = ['16:9', '4:3'] as const;

export type Theme = (typeof themes)[number];
export type Size = (typeof sizes)[number];

export interface Look {
  readonly theme?: Theme;
  readonly size?: Size;
}

/** Theme and size instead of those of the deck's front matter: of two global directives the last one counts. */
export function dress(look: Look) {
  return (md: MarkdownIt): void => {
    md.core.ruler.before('normalize', 'dress', (state) => {
      for (const [directive, value] of Object.entries(look)) {
        if (value !== undefined) state.src += `\n\n<!-- ${directive}: "${value}" -->`;
      }
    });
  };
}
