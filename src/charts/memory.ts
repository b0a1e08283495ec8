import { UserError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { RunRecord } from '../runs/schema.ts';
import { palette } from './palette.ts';
import { key, rect, svg, text } from './svg.ts';
import { told } from './told.ts';

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
    { name: 'optimizador', bytes: optimizerResident, color: palette.measured },
    { name: 'entradas de bloque', bytes: checkpoints, color: palette.pink },
    { name: 'un bloque a la vez', bytes: Math.max(0, peakTensors - held), color: palette.green },
  ];
  const [width, columns, least] = [560, 3, 4];
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  let left = 0;
  const bar = parts.map(({ bytes, color }) => {
    const part = Math.max(least, width * bytes / total);
    left += part;
    return rect(left - part, 0, part, 26, { 'fill': color, 'stroke': palette.ground, 'stroke-width': 2 });
  });
  const labels = parts.flatMap(({ name, bytes, color }, i) => {
    const [x, y] = [(i % columns) * (width / columns), 36 + Math.floor(i / columns) * 46];
    return [
      key(x, y + 2, name, color, 17),
      text(x + 20, y + 35, formatBytes(bytes, true), { 'text-anchor': 'start', 'font-size': 17, 'fill': palette.quiet }),
    ];
  });
  const figures = parts.map(({ name, bytes }) => `${name} ${formatBytes(bytes, true)}`);
  return svg(width, 120, told(alt, figures.join('; ')), ...bar, ...labels);
}
