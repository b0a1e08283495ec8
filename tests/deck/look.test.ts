import { Marp } from '@marp-team/marp-core';
import { describe, expect, it } from 'vitest';
import { marpOptions, withPlugins } from '../../src/deck/engine.ts';
import type { Look } from '../../src/deck/look.ts';

const deck = '---\ntheme: modulo\nsize: 16:9\n---\n\n# Una\n\n^ **Notas:** nota';
const render = (look: Look, markdown = deck) => withPlugins(new Marp(marpOptions), { look }).render(markdown);
/** Past that of forced colours, which is both. */
const schemes = (css: string) => [...css.matchAll(/color-scheme:\s*([\w ]+)/g)].map(([, scheme]) => scheme).filter((s) => s !== 'light dark');
const width = (css: string) => [...css.matchAll(/width:\s*(\d+)px;\s*height:\s*720px/g)].at(-1)?.[1];

describe('the look', () => {
  it('is what the front matter says', () => {
    expect(render({}).html).toContain('data-theme="modulo"');
    expect(schemes(render({}).css)).toEqual(['dark']);
    expect(schemes(render({}, deck.replace('modulo', 'claro')).css).at(-1)).toBe('light');
    expect(width(render({}, deck.replace('16:9', '4:3')).css)).toBe('960');
  });

  it('is what was asked for, instead', () => {
    const { html, css, comments } = render({ theme: 'claro', size: '4:3' });
    expect(html).toContain('data-theme="claro"');
    expect(html).toContain('data-size="4:3"');
    expect(schemes(css).at(-1)).toBe('light');
    expect(width(css)).toBe('960');
    expect(comments).toEqual([['nota']]);
  });

  it('is dark for a deck that says nothing', () => {
    expect(schemes(render({}, '# Una').css)).toEqual(['dark']);
  });
});
