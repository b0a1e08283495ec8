import { UserError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';

/**
 * Where the memory of a training step goes: one bar, cut in the parts of its peak, each with its figure.
 * @throws UserError if the run has not told its memory
 */
export function memoryBar({ id, events }: Pick<RunRecord, 'id' | 'events'>, alt: string): string {
  const memory = events.findLast((event) => event.type === 'memory');
  if (memory?.type !== 'memory') throw new UserError(`La ejecución «${id}» no dice su memoria, que pide «${alt}».`);
  const { base, adapter, optimizerResident, checkpoints, peakTensors } = memory;
  const held = base + adapter + checkpoints;
  const parts = [
    { name: 'base', bytes: base, color: palette.quiet },
    { name: 'adaptador', bytes: adapter, color: palette.learns },
    { name: 'optimizador', bytes: optimizerResident, color: palette.green },
    { name: 'entradas de bloque', bytes: checkpoints, color: palette.pink },
    { name: 'un bloque a la vez', bytes: Math.max(0, peakTensors - held), color: palette.measured },
  ];
  const [width, least] = [900, 4];
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  let left = 0;
  const bar = parts.map(({ bytes, color }) => {
    const part = Math.max(least, width * bytes / total);
    left += part;
    return rect(left - part, 0, part, 26, { 'fill': color, 'stroke': palette.ground, 'stroke-width': 2 });
  });
  const column = width / parts.length;
  const labels = parts.flatMap(({ name, bytes, color }, i) => [
    rect(i * column, 43, 14, 14, { fill: color }),
    text(i * column + 20, 56, name, { 'text-anchor': 'start', 'font-size': 17 }),
    text(i * column + 20, 80, formatBytes(bytes), { 'text-anchor': 'start', 'font-size': 18, 'fill': palette.quiet }),
  ]);
  return svg(width, 90, alt, ...bar, ...labels);
}
