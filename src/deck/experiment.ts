import { UserError } from '../errors.ts';
import { experimentIds } from '../runs/experiments.ts';
import { slideComments } from './markdown.ts';
import type { MarkdownIt } from './markdown.ts';

/**
 * The experiment of a slide, `<!-- experimento: qlora -->`: taken out of its notes and left on its
 * `<section data-experimento="qlora">`, where the browser puts the panel that runs it.
 * @throws UserError if there is no such experiment
 */
export function experiment(md: MarkdownIt): void {
  slideComments(md, 'experimento', (id, slide) => {
    if (!(experimentIds as string[]).includes(id)) {
      throw new UserError(`La diapositiva pide el experimento «${id}», que no existe; los hay: ${experimentIds.join(', ')}.`);
    }
    slide?.attrSet('data-experimento', id);
  });
}
