import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { palette } from '../../src/charts/palette.ts';
import { editionOf, themeCss } from '../../src/deck/engine.ts';
import { themes } from '../../src/deck/look.ts';
import { render } from './record.ts';

const css = readFileSync('assets/theme/modulo.css', 'utf8');

describe('theme', () => {
  it('gives the charts every colour that they draw with', () => {
    for (const color of Object.values(palette)) expect(css).toContain(`${/^var\((--\w+)\)$/.exec(color)![1]}: light-dark(#`);
  });

  it('says each colour once, for the dark room and for paper', () => {
    const tokens = /:root \{.*?\n\}/s.exec(css)![0];
    expect(css.replace(tokens, '').match(/#[0-9a-f]{3,8}\b(?<!#0000)|rgba?\(|hsl/g)).toBeNull();
  });

  it('carries its fonts inside, and each comes with its licence', () => {
    expect(themeCss('modulo').match(/url\("data:font\/woff2;base64,/g)).toHaveLength(5);
    for (const name of themes) expect(themeCss(name)).not.toMatch(/url\("(?!data:)/);
    for (const font of readdirSync('assets/fonts').filter((name) => name.endsWith('.woff2'))) {
      const family = font.replace(/-(latin|symbols)-.*/, '');
      expect(existsSync(`assets/fonts/LICENSE-${family}`), font).toBe(true);
      expect(css).toContain(font);
    }
  });
});

describe('engine', () => {
  it('is told by the environment, where Marp calls it, which edition is asked for', () => {
    expect(editionOf({})).toEqual({});
    expect(editionOf({ DECK_EDITION: '{"look":{"size":"4:3"},"notes":false}' })).toEqual({ look: { size: '4:3' }, notes: false });
  });

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
