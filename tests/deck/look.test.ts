import { Marp } from '@marp-team/marp-core';
import { describe, expect, it } from 'vitest';
import { marpOptions, withPlugins } from '../../src/deck/engine.ts';
import type { Look } from '../../src/deck/look.ts';

const deck = '---\ntheme: modulo\nsize: 16:9\n---\n\n# Una\n\n^ **Notas:** nota';
const render = (look: Look, markdown = deck) => withPlugins(new Marp(marpOptions), { look }).render(markdown);
const width = (css: string) => [...css.matchAll(/width:\s*(\d+)px;\s*height:\s*720px/g)].at(-1)?.[1];

describe('the look', () => {
  it('is what the front matter says', () => {
    expect(render({}).html).toContain('data-theme="modulo"');
    expect(render({}).css).not.toContain('color-scheme:light');
    expect(render({}, deck.replace('modulo', 'claro')).css).toContain('color-scheme:light');
    expect(width(render({}, deck.replace('16:9', '4:3')).css)).toBe('960');
  });

  it('is what was asked for, instead', () => {
    const { html, css, comments } = render({ theme: 'claro', size: '4:3' });
    expect(html).toContain('data-theme="claro"');
    expect(html).toContain('data-size="4:3"');
    expect(css).toContain('color-scheme:light');
    expect(width(css)).toBe('960');
    expect(comments).toEqual([['nota']]);
  });

  it('is dark for a deck that says nothing', () => {
    expect(render({}, '# Una').css).toContain('color-scheme:dark');
  });
});
