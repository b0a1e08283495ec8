import { formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';
import type { Attributes } from './svg.ts';

/**
 * What each GPU holds under each stage, and its memory: a model of 7.5B parameters on 64 GPUs, 2 bytes a parameter,
 * 2 a gradient, 12 for its optimizer states (Rajbhandari et al., 2020, figure 1).
 */
const held = [
  { name: 'parámetros', bytes: 2, color: 'green', left: 92, width: 104 },
  { name: 'gradientes', bytes: 2, color: 'learns', left: 206, width: 104 },
  { name: 'optimizador', bytes: 12, color: 'measured', left: 320, width: 126 },
] as const;
const stages = [
  { name: 'sin ZeRO', gigabytes: 120 }, { name: 'ZeRO‑1', gigabytes: 31.4 },
  { name: 'ZeRO‑2', gigabytes: 16.6 }, { name: 'ZeRO‑3', gigabytes: 1.9 },
];

/** Stage 1 shares out the states, 2 the gradients as well, 3 everything: a full cell is a copy, a thin one a share. */
export function zeroDiagram(alt: string): string {
  const [top, row, height] = [60, 58, 40];
  return svg(540, top + row * stages.length, alt,
    ...held.flatMap(({ name, bytes, color, left, width }) => [
      text(left + width / 2, 18, name, { fill: palette[color] }),
      text(left + width / 2, 44, `${bytes} bytes`, { fill: palette.quiet }),
    ]),
    ...stages.flatMap(({ name, gigabytes }, stage) => {
      const y = top + row * stage;
      return [
        text(0, y + 27, name, { 'text-anchor': 'start' }),
        text(540, y + 27, `${formatNumber(gigabytes, 1)} GB`, { 'text-anchor': 'end' }),
        ...held.flatMap(({ color, left, width }, i) => {
          const shared = stage >= held.length - i;
          const dash: Attributes = shared ? { 'stroke-dasharray': '5 5' } : {};
          return [
            rect(left, y, width, height, { 'fill': 'none', 'stroke': palette[color], 'stroke-width': 2, 'rx': 3, ...dash }),
            rect(left, y, shared ? 8 : width, height, { fill: palette[color], rx: 3 }),
          ];
        }),
      ];
    }));
}
