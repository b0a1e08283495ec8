import { palette } from './palette.ts';
import { line, rect, svg, text } from './svg.ts';

/** The ranks of six layers under LoRA and under AdaLoRA: the same sum, shared out by importance. */
export function adaloraDiagram(alt: string): string {
  const [step, unit, base] = [38, 13, 116];
  const ranks = { LoRA: [4, 4, 4, 4, 4, 4], AdaLoRA: [1, 2, 3, 5, 6, 7] };
  const group = (name: keyof typeof ranks, left: number, fill: string) => [
    ...ranks[name].map((r, i) => rect(left + i * step, base - r * unit, step - 10, r * unit, { fill, rx: 2 })),
    line(left - 6, base, left + 6 * step, base, { 'stroke': palette.quiet, 'stroke-width': 2 }),
    text(left + 3 * step - 5, base + 28, `${name}: r por capa`, { fill: palette.quiet }),
  ];
  return svg(520, 150, alt, ...group('LoRA', 10, palette.quiet), ...group('AdaLoRA', 282, palette.learns));
}

/** Activations, times a vector that is learnt, give activations held back or brought out. */
export function ia3Diagram(alt: string): string {
  const [cell, top] = [44, 14];
  const activations = [0.9, 0.5, 0.7, 0.4, 0.8];
  const scales = [0.2, 1.8, 1, 0, 1.2];
  const row = (left: number, values: readonly number[], fill: string) => values.map((value, i) =>
    rect(left, top + i * 21, cell * Math.max(value, 0.04), 15, { fill, rx: 2 }));
  const label = (left: number, content: string, fill: string) => text(left, top + 130, content, { fill, 'text-anchor': 'start' });
  return svg(520, 150, alt,
    ...row(10, activations, palette.quiet), label(10, 'activación h', palette.quiet),
    text(160, top + 62, '×', { 'font-size': 34 }),
    ...row(205, scales, palette.learns), label(205, 'vector l', palette.learns),
    text(330, top + 62, '=', { 'font-size': 34 }),
    ...row(380, activations.map((value, i) => value * scales[i]!), palette.text), label(380, 'l ⊙ h', palette.text));
}
