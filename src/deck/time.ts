import { UserError } from '../errors.ts';
import type { MarkdownIt, Token } from './markdown.ts';

/**
 * The time of a slide, `<!-- tiempo: 90s -->` or `<!-- tiempo: 10min -->`: taken out of its notes and left in seconds
 * on its `<section data-tiempo="90">`. Unlike Marp's own directives it holds for its slide alone.
 * @throws UserError if it is not a time, or a slide has two
 */
export function time(md: MarkdownIt): void {
  md.core.ruler.before('marpit_collect', 'time', (state) => {
    let slide: Token | undefined;
    state.tokens = state.tokens.filter((token) => {
      if (token.type === 'marpit_slide_open') slide = token;
      const value = token.type === 'marpit_comment' ? /^tiempo:\s*(.*)$/.exec(token.content)?.[1] : undefined;
      if (value === undefined) return true;
      if (slide?.attrGet('data-tiempo')) throw new UserError(`Hay una diapositiva con dos tiempos: quita «tiempo: ${value}».`);
      slide?.attrSet('data-tiempo', String(secondsOf(value)));
      return false;
    });
  });
}

function secondsOf(value: string): number {
  const parts = /^(\d+)\s*(s|min)$/.exec(value);
  if (!parts || Number(parts[1]) === 0) {
    throw new UserError(`«tiempo: ${value}» no es el tiempo de una diapositiva: se espera algo como 90s o 10min.`);
  }
  return Number(parts[1]) * (parts[2] === 'min' ? 60 : 1);
}
