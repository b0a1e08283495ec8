import { formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { states } from './states.ts';
import { key, rect, svg, text } from './svg.ts';
import { caption } from './table.ts';
import { told } from './told.ts';

const ranks = 4;
/**
 * Bytes a parameter of mixed-precision Adam (ZeRO, Rajbhandari et al., 2020, section 3.1), and from which stage on each
 * part is shared out (section 5).
 */
const shares = {
  weights: { whole: 2, from: 3 }, gradients: { whole: 2, from: 2 }, optimizer: { whole: 12, from: 1 },
} as const;
type Part = keyof typeof shares;
const stages = ['DDP', 'ZeRO-1', 'ZeRO-2', 'ZeRO-3'];

/** What each of four ranks holds of the states by stage, as in ZeRO's figure 1: of what is shared out, its own part. */
export function partitionChart(alt: string): string {
  const [width, left, cell, apart, top, row] = [540, 90, 82, 12, 34, 38];
  const total = (of: (part: Part) => number) => states.reduce((sum, { key: part }) => sum + of(part), 0);
  const scale = cell / total((part) => shares[part].whole);
  const heldAt = (stage: number) => (part: Part) => shares[part].whole / (stage >= shares[part].from ? ranks : 1);
  const figures = stages.map((name, stage) => `${name}: `
    + states.map(({ key: part, name }) => `${name} ${formatNumber(heldAt(stage)(part), 1)} Ψ`).join('; '));
  return svg(width, top + row * stages.length, told(alt, ...figures),
    ...states.map(({ name, color }, i) => key(i * 140, 5, name, palette[color], 19)),
    ...stages.flatMap((name, stage) => {
      const y = top + row * stage;
      const held = heldAt(stage);
      return [
        text(0, y + 21, name, { 'text-anchor': 'start', 'font-size': 20 }),
        ...Array.from({ length: ranks }, (_, rank) => {
          let x = left + rank * (cell + apart);
          return [
            rect(x, y + 3, cell, 24, { 'class': 'rejilla', 'fill': palette.line, 'fill-opacity': 0.35 }),
            ...states.map(({ key: part, color }) => {
              const own = stage >= shares[part].from ? rank * held(part) : 0; // where its part of it begins
              const drawn = rect(x + own * scale, y + 3, held(part) * scale, 24, { fill: palette[color] });
              x += shares[part].whole * scale;
              return drawn;
            }),
          ];
        }).flat(),
        text(width, y + 21, `${formatNumber(total(held), 1)} Ψ`, {
          'text-anchor': 'end', 'font-size': 19, 'fill': palette.quiet,
        }),
      ];
    })) + caption('Bytes por rango de cuatro, con Ψ parámetros: 2 y 2 en bf16, y 12 de Adam en fp32.');
}
