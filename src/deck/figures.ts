import { UserError } from '../errors.ts';
import { htmlBlock } from './markdown.ts';
import type { MarkdownIt, State, Token } from './markdown.ts';

export interface Figure {
  readonly html: string;
  /** The run that its figures come from. */
  readonly run?: string;
}

/**
 * A core rule that turns a paragraph holding one image, `![alt](scheme:path)`, into `<figure>`. A block, because a
 * browser closes a paragraph at the first table.
 */
export function figures(md: MarkdownIt, scheme: string, draw: (path: string, alt: string) => Figure): void {
  const sourceOf = (token: Token) => {
    const source = token.type === 'image' ? token.attrGet('src') ?? '' : '';
    return source.startsWith(`${scheme}:`) ? source : undefined;
  };
  const turn = (state: State) => {
    for (let i = 0; i < state.tokens.length; i++) {
      const children = state.tokens[i]!.children ?? [];
      const image = children.find((child) => sourceOf(child) !== undefined);
      if (!image) continue;
      const source = sourceOf(image)!;
      if (children.length > 1 || state.tokens[i - 1]?.type !== 'paragraph_open') {
        throw new UserError(`La imagen «${source}» tiene que ir sola en su párrafo, entre dos líneas en blanco.`);
      }
      if (image.content.trim() === '') {
        throw new UserError(`La imagen «${source}» no tiene texto alternativo: di entre los corchetes qué se ve en ella.`);
      }
      const { html, run } = draw(source.slice(scheme.length + 1), image.content);
      state.tokens.splice(i - 1, 3, htmlBlock(state, `<figure>${html}</figure>\n`, run === undefined ? null : { runs: [run] }));
    }
  };
  md.core.ruler.after('text_join', `figures_${scheme}`, turn);
}
