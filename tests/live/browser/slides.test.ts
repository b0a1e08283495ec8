import { describe, expect, it, vi } from 'vitest';
import { openWindow } from './window.ts';

const slide = (words: string, more = '') => `<svg data-marpit-svg ${more}><section>${words}</section></svg>`;
const note = (index: number, words: string) => `<div class="bespoke-marp-note" data-index="${index}">${words}</div>`;
const page = (style: string, ...inside: string[]) =>
  `<!doctype html><html><head><style>player</style><style>${style}</style></head><body>${inside.join('')}</body></html>`;

const window = openWindow('');
const { document } = window;
const { currentSlide, redraw, remember, slides } = await import('../../../src/live/browser/slides.ts');

let served = '';
vi.stubGlobal('fetch', () => Promise.resolve({ text: () => Promise.resolve(served) }));
vi.stubGlobal('DOMParser', window.DOMParser);

function show(style: string, ...inside: string[]) {
  served = page(style, ...inside);
  document.documentElement.innerHTML = served.replace(/^.*?<html>|<\/html>$/g, '');
}
const sections = () => slides().map((one) => one.textContent);

describe('the slide on show', () => {
  it('is the one that the player has set off, and before it does, the first', () => {
    show('a', slide('Uno'), slide('Dos', 'class="bespoke-marp-active"'));
    expect(currentSlide()).toBe(1);
    show('a', slide('Uno'), slide('Dos'));
    expect(currentSlide()).toBe(0);
  });
});

describe('a deck that is drawn again', () => {
  it('changes the slides, the notes and the style that are others, and leaves alone what is the same', async () => {
    show('a', slide('Uno'), slide('Dos'), note(0, 'Primera'), note(1, 'Segunda'));
    await remember();
    const panel = slides()[0]!.appendChild(document.createElement('aside')); // ours, over the slide
    served = page('b', slide('Uno'), slide('Dos y medio'), note(0, 'Primera'), note(1, 'Otra'));
    expect(await redraw()).toBe(true);
    expect(sections()).toEqual(['Uno', 'Dos y medio']);
    expect(slides()[0]!.contains(panel)).toBe(true);
    expect([...document.querySelectorAll('.bespoke-marp-note')].map((one) => one.textContent)).toEqual(['Primera', 'Otra']);
    expect([...document.querySelectorAll('head style')].map((one) => one.textContent)).toEqual(['player', 'b']);
  });

  it('draws a slide back that is as it was at first', async () => {
    show('a', slide('Uno'));
    await remember();
    const first = served;
    served = page('a', slide('Otra'));
    await redraw();
    served = first;
    await redraw();
    expect(sections()).toEqual(['Uno']);
  });

  it('of which nothing is known draws every slide', async () => {
    show('a', slide('Uno'));
    slides()[0]!.append('de otro');
    await redraw();
    expect(sections()).toEqual(['Uno']);
  });

  it('with other slides is left as it is: the page has to be loaded again', async () => {
    show('a', slide('Uno'), slide('Dos'));
    served = page('b', slide('Otra'));
    expect(await redraw()).toBe(false);
    expect(sections()).toEqual(['Uno', 'Dos']);
    expect(document.querySelectorAll('head style')[1]!.textContent).toBe('a');
  });
});
