import { palette } from './palette.ts';
import { rect, svg, text } from './svg.ts';
import { told } from './told.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What is written beside the bar. */
  readonly text: string;
  readonly color: keyof typeof palette;
}

/** Horizontal bars from zero, each with its label and its figure above it: no axis to read. */
export function barsChart(bars: readonly Bar[], alt: string): string {
  const [width, row] = [540, 62];
  const most = Math.max(...bars.map(({ value }) => value));
  const figures = bars.map((bar) => `${bar.label}: ${bar.text}`);
  return svg(width, row * bars.length, told(alt, ...figures), ...bars.flatMap((bar, i) => [
    text(0, row * i + 22, bar.label, { 'text-anchor': 'start', 'font-size': 22 }),
    text(width, row * i + 22, bar.text, { 'text-anchor': 'end', 'font-size': 22, 'fill': palette[bar.color] }),
    rect(0, row * i + 32, width, 16, { fill: palette.panel, rx: 3 }),
    rect(0, row * i + 32, (width * bar.value) / most, 16, { fill: palette[bar.color], rx: 3 }),
  ]));
}
