import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';

/** W, frozen, plus the product of two thin matrices, which learn. */
export function loraDiagram(alt: string): string {
  const [width, height, r, top] = [172, 56, 22, 2];
  const frozen = { 'fill': palette.panel, 'stroke': palette.quiet, 'stroke-width': 2 };
  const learns = { fill: palette.learns };
  const [b, a] = [width + 74, width + 74 + r + 60];
  const [middle, below] = [top + height / 2, top + height + 28];
  return svg(534, 92, alt,
    rect(2, top, width, height, { ...frozen, rx: 4 }),
    text(2 + width / 2, middle + 13, 'W', { 'font-size': 34 }),
    text(2 + width / 2, below, 'd × k · congelada', { fill: palette.quiet }),
    text((2 + width + b) / 2, middle + 12, '+', { 'font-size': 36 }),
    rect(b, top, r, height, { ...learns, rx: 4 }),
    text(b + r / 2, below, 'B · d × r', learns),
    text((b + r + a) / 2, middle + 12, '·', { 'font-size': 44 }),
    rect(a, middle - r / 2, width, r, { ...learns, rx: 4 }),
    text(a + width / 2, below, 'A · r × k, se entrenan', learns));
}
