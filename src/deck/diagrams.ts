import { diagrams as drawings } from '../charts/diagrams.ts';
import { UserError } from '../errors.ts';
import { figures } from './figures.ts';
import type { MarkdownIt } from './markdown.ts';

/** `![alt text](diagrama:lora)`: a drawing that explains and measures nothing. */
export function diagrams(md: MarkdownIt): void {
  figures(md, 'diagrama', (name, alt) => {
    const draw = drawings[name];
    if (!draw) {
      throw new UserError(`La diapositiva pide «diagrama:${name}», que no existe; los hay: ${Object.keys(drawings).join(', ')}.`);
    }
    return { html: draw(alt) };
  });
}
