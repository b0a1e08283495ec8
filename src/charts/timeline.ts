import { palette } from './palette.ts';
import { line, path, svg, text } from './svg.ts';

type Point = readonly [time: number, memory: number];

/** A network of so many blocks; forward through one takes 1, backward 2, and its activations hold 1. */
const blocks = 6;
/** What of a block is kept to compute it again: its input. */
const kept = 0.2;

/** Memory held along steps that each last some time and then change it. */
function held(steps: readonly Point[]): Point[] {
  const points: Point[] = [[0, 0]];
  for (const [time, change] of steps) {
    const [now, memory] = points.at(-1)!;
    points.push([now + time, memory], [now + time, memory + change]);
  }
  return points;
}

const each = (...steps: Point[]): Point[] => Array.from({ length: blocks }, () => steps).flat();
const keepingAll = held([...each([1, 1]), ...each([2, -1])]);
const recomputing = held([...each([1, kept]), ...each([1, 1], [2, -1 - kept])]);

/** The memory of activations while a step goes on: less, for as long again as one more forward. */
export function timelineDiagram(alt: string): string {
  const [left, width, top, base] = [4, 532, 14, 124];
  const end = blocks * 4;
  const at = (points: readonly Point[]) => points.map(([time, memory]) =>
    [left + (time / end) * width, base - (memory / blocks) * (base - top)] as const);
  const x = (time: number) => left + (time / end) * width;
  return svg(540, 156, alt,
    line(left, base, left + width, base, { 'stroke': palette.line, 'stroke-width': 2 }),
    line(x(blocks), base, x(blocks), base + 30, { 'stroke': palette.line, 'stroke-width': 2 }),
    path(at(keepingAll), { 'fill': 'none', 'stroke': palette.quiet, 'stroke-width': 3, 'stroke-dasharray': '9 6' }),
    path(at(recomputing), { 'fill': palette.learns, 'fill-opacity': 0.2, 'stroke': palette.learns, 'stroke-width': 3 }),
    text(x(blocks) + 94, top + 10, 'guardándolo todo', { 'fill': palette.quiet, 'text-anchor': 'start' }),
    text(x(end), base - 50, 'recomputando', { 'fill': palette.learns, 'text-anchor': 'end' }),
    text(x(blocks) - 10, base + 26, 'forward', { 'fill': palette.quiet, 'text-anchor': 'end' }),
    text(x(blocks) + 10, base + 26, 'backward', { 'fill': palette.quiet, 'text-anchor': 'start' }));
}
