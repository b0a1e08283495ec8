import { palette } from './palette.ts';
import { escapeHtml } from './table.ts';

/** A drawing of our own, as the text of one `<svg>` with a name for those who cannot see it. */
export function svg(width: number, height: number, alt: string, ...shapes: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(alt)}" viewBox="0 0 ${width} ${height}" `
    + `width="${width}" height="${height}" font-size="21" fill="${palette.text}">${shapes.join('')}</svg>`;
}

export type Attributes = Readonly<Record<string, string | number>>;

export const rect = (x: number, y: number, width: number, height: number, attributes: Attributes): string =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}"${write(attributes)}/>`;

export const line = (x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"${write(attributes)}/>`;

/** Centred at x unless `text-anchor` says otherwise. */
export const text = (x: number, y: number, content: string, attributes: Attributes = {}): string =>
  `<text x="${round(x)}" y="${round(y)}"${write({ 'text-anchor': 'middle', ...attributes })}>${escapeHtml(content)}</text>`;

/** What a colour stands for: a square of it, whose corner is at (x, y), and its name. */
export const key = (x: number, y: number, name: string, fill: string, size = 18): string =>
  rect(x, y, 14, 14, { fill }) + keyName(x, y, name, size);

/** The name beside a square whose corner is at (x, y). */
export const keyName = (x: number, y: number, name: string, size: number): string =>
  text(x + 20, y + 13, name, { 'text-anchor': 'start', 'font-size': size });

export const path = (points: readonly (readonly [number, number])[], attributes: Attributes): string =>
  `<path d="M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join('L')}"${write(attributes)}/>`;

/** Pixels to a hundredth: the same drawing gives the same text everywhere. */
const round = (value: number): number => Math.round(value * 100) / 100;

const write = (attributes: Attributes): string =>
  Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`).join('');
