import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';

/** W, frozen, plus the product of two thin matrices, which learn. */
export function loraDiagram(alt: string): string {
  const [size, r, top] = [184, 34, 46];
  const frozen = { 'fill': palette.panel, 'stroke': palette.quiet, 'stroke-width': 2 };
  const learns = { fill: palette.learns };
  const blue = { fill: palette.learns };
  const quiet = { fill: palette.quiet };
  const [b, a] = [size + 62, size + 62 + r + 46];
  const middle = top + size / 2;
  return svg(516, 274, alt,
    rect(2, top, size, size, { ...frozen, rx: 4 }),
    text(2 + size / 2, middle + 14, 'W', { 'font-size': 44 }),
    text(2 + size / 2, top + size + 34, 'd × k · congelada', quiet),
    text(size + 33, middle + 14, '+', { 'font-size': 40 }),
    rect(b, top, r, size, { ...learns, rx: 4 }),
    text(b + r / 2, top - 16, 'B', { ...blue, 'font-size': 34 }),
    text(b + r / 2, top + size + 34, 'd × r', blue),
    text(b + r + 23, middle + 12, '·', { 'font-size': 44 }),
    rect(a, middle - r / 2, size, r, { ...learns, rx: 4 }),
    text(a + size / 2, middle - r / 2 - 16, 'A', { ...blue, 'font-size': 34 }),
    text(a + size / 2, middle + r / 2 + 34, 'r × k, con r ≪ d, k', blue),
    text(516, top + size + 34, 'solo esto se entrena', { ...blue, 'text-anchor': 'end' }));
}
