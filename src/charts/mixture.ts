import { palette } from './palette.ts';
import { path, rect, svg, text } from './svg.ts';

/** A light router sends each input to one of several adapters on the same frozen base. */
export function mixtureDiagram(alt: string): string {
  const box = (x: number, y: number, width: number, height: number, label: string, stroke: string, dash = '') =>
    rect(x, y, width, height, { 'fill': palette.panel, stroke, 'stroke-width': 3, 'rx': 8, ...(dash && { 'stroke-dasharray': dash }) })
    + text(x + width / 2, y + height / 2 + 8, label, { 'font-size': 23 });
  const link = (points: readonly (readonly [number, number])[], stroke: string, width: number) =>
    path(points, { 'fill': 'none', stroke, 'stroke-width': width });
  const adapters = [['A · legal', palette.learns], ['B · salud', palette.measured], ['C · banca', palette.green]] as const;
  const row = (i: number) => 40 + i * 92;
  return svg(540, 366, alt,
    ...adapters.flatMap(([, color], i) => [
      link([[160, 132], [214, row(i)]], color, i === 1 ? 5 : 2),
      link([[384, row(i)], [438, 132]], color, i === 1 ? 5 : 2),
    ]),
    box(4, 104, 156, 56, 'router', palette.text),
    ...adapters.map(([label, color], i) => box(214, row(i) - 30, 170, 60, label, color)),
    box(438, 104, 98, 56, 'mezcla', palette.text),
    box(4, 300, 532, 56, 'modelo base, congelado y común', palette.quiet, '8 6'),
    link([[82, 300], [82, 160]], palette.quiet, 2), link([[487, 160], [487, 300]], palette.quiet, 2));
}
