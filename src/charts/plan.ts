import { formatBytes } from '../format.ts';
import { palette } from './palette.ts';
import { states } from './states.ts';
import { key, line, rect, svg, text } from './svg.ts';
import { told } from './told.ts';

/** What a GPU holds under one plan, bytes. */
export interface PlanBar {
  readonly label: string;
  readonly parts: Readonly<Record<PlanPart, number>>;
  /** Of them, what may wait on the host. */
  readonly pageable: number;
}

type PlanPart = 'weights' | 'gradients' | 'optimizer' | 'activations' | 'buffers' | 'fragmentation' | 'context';

/** In the order in which they are stacked. The allocator's and CUDA's are one to whoever looks. */
const shown: readonly { name: string; color: keyof typeof palette; parts: readonly PlanPart[] }[] = [
  ...states.map(({ key, name, color }) => ({ name, color, parts: [key] })),
  { name: 'activaciones', color: 'green', parts: ['activations'] },
  { name: 'búferes', color: 'pink', parts: ['buffers'] },
  { name: 'asignador y CUDA', color: 'line', parts: ['fragmentation', 'context'] },
];

/**
 * One stacked bar a plan, and the GPU's memory as a line that they pass or not.
 * @param capacity bytes of a GPU
 */
export function planChart(bars: readonly PlanBar[], capacity: number, alt: string, width = 640): string {
  const columns = Math.min(shown.length, Math.floor(width / 180));
  const head = 26 * Math.ceil(shown.length / columns);
  const row = 66;
  const sizes = bars.map(({ parts }) => shown.map((part) => part.parts.reduce((sum, name) => sum + parts[name], 0)));
  const totals = sizes.map((of) => of.reduce((a, b) => a + b, 0));
  const scale = width / Math.max(capacity, ...totals);
  const legend = shown.map(({ name, color }, i) =>
    key((i % columns) * (width / columns), 26 * Math.floor(i / columns) + 4, name, palette[color]));
  const figures = bars.map(({ label }, i) => `${label}: ${shown.map(({ name }, j) => `${name} ${formatBytes(sizes[i]![j]!)}`).join('; ')}; `
    + `en total, ${formatBytes(totals[i]!)} de ${formatBytes(capacity)}`);
  return svg(width, head + row * bars.length, told(alt, ...figures), ...legend,
    ...bars.flatMap(({ label, pageable }, i) => {
      const y = head + row * i;
      let x = 0;
      const fits = totals[i]! - pageable <= capacity;
      return [
        text(0, y + 22, label, { 'text-anchor': 'start', 'font-size': 20 }),
        text(width, y + 22, `${formatBytes(totals[i]!)} de ${formatBytes(capacity)}${fits ? '' : ': no cabe'}`, {
          'text-anchor': 'end', 'font-size': 20, 'fill': fits ? palette.text : palette.measured,
        }),
        ...sizes[i]!.map((size, j) => {
          const drawn = rect(x, y + 32, size * scale, 26, { 'fill': palette[shown[j]!.color], 'stroke': palette.ground, 'stroke-width': 1 });
          x += size * scale;
          return drawn;
        }),
        line(capacity * scale, y + 28, capacity * scale, y + 62, { 'stroke': palette.text, 'stroke-width': 2, 'stroke-dasharray': '5 4' }),
      ];
    }));
}
