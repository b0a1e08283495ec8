import { formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';
import { caption } from './table.ts';

const ranks = 4;
/**
 * Bytes a parameter of mixed-precision Adam (ZeRO, Rajbhandari et al., 2020, section 3.1), and from which stage on each
 * part is shared out (section 5).
 */
const parts = [
  { whole: 2, name: 'parámetros', color: 'green', from: 3 },
  { whole: 2, name: 'gradientes', color: 'learns', from: 2 },
  { whole: 12, name: 'optimizador', color: 'measured', from: 1 },
] as const;
const stages = ['DDP', 'ZeRO-1', 'ZeRO-2', 'ZeRO-3'];

/** What each of four ranks holds of the states by stage, as in ZeRO's figure 1: of what is shared out, its own part. */
export function partitionChart(alt: string): string {
  const [width, left, cell, apart, top, row] = [540, 90, 82, 12, 34, 38];
  const scale = cell / parts.reduce((sum, { whole }) => sum + whole, 0);
  return svg(width, top + row * stages.length, alt,
    ...parts.flatMap(({ name, color }, i) => [
      rect(i * 140, 5, 14, 14, { fill: palette[color] }),
      text(i * 140 + 20, 18, name, { 'text-anchor': 'start', 'font-size': 19 }),
    ]),
    ...stages.flatMap((name, stage) => {
      const y = top + row * stage;
      const held = ({ whole, from }: typeof parts[number]) => (stage >= from ? whole / ranks : whole);
      return [
        text(0, y + 21, name, { 'text-anchor': 'start', 'font-size': 20 }),
        ...Array.from({ length: ranks }, (_, rank) => {
          let x = left + rank * (cell + apart);
          return [
            rect(x, y + 3, cell, 24, { 'class': 'rejilla', 'fill': palette.line, 'fill-opacity': 0.35 }),
            ...parts.map((part) => {
              const own = stage >= part.from ? rank * held(part) : 0; // where its part of it begins
              const drawn = rect(x + own * scale, y + 3, held(part) * scale, 24, { fill: palette[part.color] });
              x += part.whole * scale;
              return drawn;
            }),
          ];
        }).flat(),
        text(width, y + 21, `${formatNumber(parts.reduce((sum, part) => sum + held(part), 0), 1)} Ψ`, {
          'text-anchor': 'end', 'font-size': 19, 'fill': palette.quiet,
        }),
      ];
    })) + caption('Bytes por rango de cuatro, con Ψ parámetros: 2 y 2 en bf16, y 12 de Adam en fp32.');
}
