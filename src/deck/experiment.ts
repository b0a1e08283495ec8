import { UserError } from '../errors.ts';
import { experimentIds } from '../runs/experiments.ts';
import type { MarkdownIt, Token } from './markdown.ts';

/**
 * The experiment of a slide, `<!-- experimento: qlora -->`: taken out of its notes and left on its
 * `<section data-experimento="qlora">`, where the browser puts the panel that runs it.
 * @throws UserError if there is no such experiment
 */
export function experiment(md: MarkdownIt): void {
  md.core.ruler.before('marpit_collect', 'experiment', (state) => {
    let slide: Token | undefined;
    state.tokens = state.tokens.filter((token) => {
      if (token.type === 'marpit_slide_open') slide = token;
      const id = token.type === 'marpit_comment' ? /^experimento:\s*(.*)$/.exec(token.content)?.[1] : undefined;
      if (id === undefined) return true;
      if (!(experimentIds as string[]).includes(id)) {
        throw new UserError(`La diapositiva pide el experimento «${id}», que no existe; los hay: ${experimentIds.join(', ')}.`);
      }
      slide?.attrSet('data-experimento', id);
      return false;
    });
  });
}
