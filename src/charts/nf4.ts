import { palette } from './palette.ts';
import { line, path, svg, text } from './svg.ts';

/** The sixteen values of NF4, to four decimals (QLoRA, appendix E): the drawing needs no more. */
export const nf4Levels = [
  -1, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911, 0, 0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.723, 1,
] as const;

/** What 1 is in standard deviations: the quantile that the outermost values of NF4 stand for. */
const sigmas = 1.848;

/** NF4's sixteen values under the bell that they cut into equal shares: close together where weights abound. */
export function nf4Diagram(alt: string): string {
  const [width, height, base] = [500, 330, 262];
  const x = (value: number) => width / 2 + value * 208;
  const y = (value: number) => base - 236 * Math.exp(-((value * sigmas) ** 2) / 2);
  const curve = Array.from({ length: 121 }, (_, i) => -1.2 + i / 50).map((value) => [x(value), y(value)] as const);
  return svg(width, height, alt,
    path(curve, { 'fill': 'none', 'stroke': palette.quiet, 'stroke-width': 3, 'stroke-linejoin': 'round' }),
    line(0, base, width, base, { 'stroke': palette.line, 'stroke-width': 3 }),
    ...nf4Levels.map((value) => line(x(value), base, x(value), y(value), { 'stroke': palette.learns, 'stroke-width': 4 })),
    ...[-1, 0, 1].map((value) => text(x(value), base + 28, String(value).replace('-', '−'), { fill: palette.quiet })),
    text(width / 2, base + 60, 'los 16 valores de NF4', { fill: palette.learns }));
}
