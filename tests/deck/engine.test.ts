import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { palette } from '../../src/charts/palette.ts';
import { theme } from '../../src/deck/engine.ts';
import { render } from './record.ts';

/** WCAG 2.2: relative luminance, and the contrast of two colours. */
function contrast(one: string, other: string): number {
  const [light, dark] = [one, other].map((color) => {
    const channels = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);
    const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  }).sort((a, b) => b - a);
  return (light! + 0.05) / (dark! + 0.05);
}

const css = readFileSync('assets/theme/modulo.css', 'utf8');
const token = (name: string) => new RegExp(`--${name}: (#[0-9a-f]{6});`).exec(css)![1]!;

describe('theme', () => {
  it('knows contrast when it sees it', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
    expect(contrast('#767676', '#ffffff')).toBeCloseTo(4.54, 2);
  });

  it.each(['text', 'quiet', 'learns', 'measured'])('reads well from the back: %s is 7:1 or more on ground and cards', (name) => {
    expect(contrast(token(name), token('ground'))).toBeGreaterThanOrEqual(7);
    expect(contrast(token(name), token('panel'))).toBeGreaterThanOrEqual(6.5);
  });

  it('colours code with 7:1 or more', () => {
    const colors = [...css.matchAll(/^\.hljs[^{]*\{ color: (#\w+)/gm)].map((match) => match[1]!);
    expect(colors.length).toBeGreaterThan(2);
    for (const color of colors) expect(contrast(color, token('panel')), color).toBeGreaterThanOrEqual(6.5);
  });

  it('shares its colours with the charts', () => {
    expect(palette).toMatchObject({
      ground: token('ground'), panel: token('panel'), line: token('line'), text: token('text'), quiet: token('quiet'),
      sky: token('learns'), orange: token('measured'),
    });
  });

  it('carries its fonts inside, and each comes with its licence', () => {
    expect(theme().match(/url\("data:font\/woff2;base64,/g)).toHaveLength(5);
    expect(theme()).not.toMatch(/url\("(?!data:)/);
    for (const font of readdirSync('assets/fonts').filter((name) => name.endsWith('.woff2'))) {
      const family = font.replace(/-(latin|symbols)-.*/, '');
      expect(existsSync(`assets/fonts/LICENSE-${family}`), font).toBe(true);
      expect(css).toContain(font);
    }
  });
});

describe('engine', () => {
  it('writes Spanish quotation marks, and asks no one for pictures of emoji', () => {
    const [html] = render('Dice "hola" :tada: 🎉').html;
    expect(html).toContain('«hola»');
    expect(html).not.toContain('<img');
  });

  it('lets no tag through that could run or fetch', () => {
    const [html] = render('<script>1</script> <iframe src="https://example.org"></iframe> <p style="color:red" onclick="1">x</p>').html;
    expect(html).not.toMatch(/<script|<iframe|style="color|<p[^>]*onclick/);
  });
});
