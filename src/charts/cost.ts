import { z } from 'zod';
import { formatBytes, formatNumber } from '../format.ts';
import { palette } from './palette.ts';
import { line, path, svg, text } from './svg.ts';
import { course, told } from './told.ts';

const series = z.array(z.object({ value: z.number(), seconds: z.number(), peakResident: z.number() })).min(2);
export const stepCost = z.object({ cost: z.object({ sequence: series, layers: series, batch: series, r: series }) });
type StepCost = z.infer<typeof stepCost>['cost'];

const grown = { sequence: 'tokens', layers: 'capas', batch: 'secuencias', r: 'rango r' } as const;

/** Time and memory of a step as one thing grows at a time: four small charts with the same two scales, from 0. */
export function costChart({ cost }: z.infer<typeof stepCost>, alt: string): string {
  const [width, plot, top, base] = [280, 140, 10, 66];
  const all = Object.values(cost).flat();
  const longest = Math.max(...all.map(({ seconds }) => seconds));
  const largest = Math.max(...all.map(({ peakResident }) => peakResident));
  const y = (share: number) => base - (base - top) * share;
  const one = (name: keyof StepCost, left: number) => {
    const points = cost[name];
    const last = points.at(-1)!;
    const x = (value: number) => left + plot * value / last.value;
    const time = ({ seconds }: typeof last) => y(seconds / longest);
    const memory = ({ peakResident }: typeof last) => y(peakResident / largest);
    const [timeEnd, memoryEnd] = [time(last), memory(last)];
    // Where the lines end close together, their labels keep apart.
    const apart = Math.max(0, 22 - Math.abs(timeEnd - memoryEnd)) / 2 * (timeEnd <= memoryEnd ? -1 : 1);
    const lowered = Math.max(0, 10 - Math.min(timeEnd + apart, memoryEnd - apart)); // and stay in the drawing
    const label = (height: number, content: string, fill: string) =>
      text(left + plot + 10, height + lowered + 6, content, { fill, 'text-anchor': 'start', 'font-size': 18 });
    const tick = (at: number, { value }: typeof last, anchor: string) =>
      text(at, base + 20, formatNumber(value), { 'fill': palette.quiet, 'text-anchor': anchor, 'font-size': 18 });
    const curve = (height: typeof time, stroke: string) => path(
      points.map((at) => [x(at.value), height(at)] as const), { 'fill': 'none', stroke, 'stroke-width': 3 });
    return [
      line(left, base, left + plot, base, { 'stroke': palette.line, 'stroke-width': 2 }),
      curve(memory, palette.green),
      curve(time, palette.measured),
      label(timeEnd + apart, `${formatNumber(last.seconds, 2, true)} s`, palette.measured),
      label(memoryEnd - apart, formatBytes(last.peakResident, true), palette.green),
      tick(x(points[0]!.value), points[0]!, 'middle'), tick(left + plot, last, 'end'),
      text(left + plot + 10, base + 20, grown[name], { 'font-size': 18, 'text-anchor': 'start' }),
    ].join('');
  };
  const names = Object.keys(grown) as (keyof StepCost)[];
  const figures = names.map((name) => course(grown[name], cost[name], ({ seconds, peakResident }) =>
    `${formatNumber(seconds, 2, true)} s y ${formatBytes(peakResident, true)}`, ({ value }) => formatNumber(value)));
  return svg(names.length * width, base + 26, told(alt, ...figures), ...names.map((name, i) => one(name, i * width)));
}
