import { sizes, themes } from '../deck/look.ts';
import { choice, optional } from './options.ts';

/** How the deck looks, instead of as its front matter says. */
export const lookOptions = {
  theme: optional('theme', 'TEMA', 'modulo, para una sala oscura, o claro, para imprimir', choice(...themes),
    'el de la presentación'),
  size: optional('size', 'FORMATO', '16:9 o 4:3', choice(...sizes), 'el de la presentación'),
};
