import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { palette } from './palette.ts';

/** An Observable Plot drawn without a browser, as the text of one `<svg>` with a title for those who cannot see it. */
export function drawPlot(alt: string, options: Plot.PlotOptions): string {
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const plot = Plot.plot({
    ...options,
    x: { tickPadding: 8, ...options.x }, // a long number at its left end stays below the 0 of the other axis
    document: document as unknown as Document,
    style: { background: 'transparent', color: palette.text, fontFamily: 'inherit', fontSize: '19px', overflow: 'visible' },
  });
  for (const part of plot.querySelectorAll('[aria-label]')) { // Plot names its parts in English; the whole has its name
    if (part.getAttribute('aria-label')!.endsWith('grid')) part.setAttribute('class', 'rejilla');
    part.removeAttribute('aria-label');
  }
  plot.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', alt);
  return plot.outerHTML;
}
