import { UserError } from '../errors.ts';
import { slideComments } from './markdown.ts';
import type { MarkdownIt } from './markdown.ts';

/**
 * The time of a slide, `<!-- tiempo: 90s -->` or `<!-- tiempo: 10min -->`: taken out of its notes and left in seconds
 * on its `<section data-tiempo="90">`.
 * @throws UserError if it is not a time, or a slide has two
 */
export function time(md: MarkdownIt): void {
  slideComments(md, 'tiempo', (value, slide) => {
    if (slide?.attrGet('data-tiempo')) throw new UserError(`Hay una diapositiva con dos tiempos: quita «tiempo: ${value}».`);
    slide?.attrSet('data-tiempo', String(secondsOf(value)));
  });
}

function secondsOf(value: string): number {
  const parts = /^(\d+)\s*(s|min)$/.exec(value);
  if (!parts || Number(parts[1]) === 0) {
    throw new UserError(`«tiempo: ${value}» no es el tiempo de una diapositiva: se espera algo como 90s o 10min.`);
  }
  return Number(parts[1]) * (parts[2] === 'min' ? 60 : 1);
}
