import * as Plot from '@observablehq/plot';
import { palette } from './palette.ts';
import { drawPlot } from './plot.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** What is written beside the bar. */
  readonly text: string;
  readonly color: keyof typeof palette;
}

/** Horizontal bars from zero, each with its label and its figure: no axis to read. */
export function barsChart(bars: readonly Bar[], alt: string): string {
  return drawPlot(alt, {
    width: 620, height: 24 + 58 * bars.length, marginLeft: 190, marginRight: 190, marginTop: 8, marginBottom: 8,
    x: { axis: null, zero: true },
    y: { label: null, domain: bars.map(({ label }) => label), tickSize: 0, padding: 0.25 },
    marks: [
      Plot.barX(bars, { x: 'value', y: 'label', fill: (bar: Bar) => palette[bar.color] }),
      Plot.text(bars, { x: 'value', y: 'label', text: 'text', dx: 10, textAnchor: 'start', fill: palette.text }),
    ],
  });
}
