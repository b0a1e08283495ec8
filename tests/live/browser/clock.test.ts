import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ClockActions } from '../../../src/live/browser/clock.ts';
import { startClock } from '../../../src/live/clock.ts';
import type { TalkState } from '../../../src/live/state.ts';
import { openWindow } from './window.ts';

const slide = (title: string, seconds: number) =>
  `<svg data-marpit-svg><section data-tiempo="${seconds}"><h1>${title}</h1></section></svg>`;
const { document, Event } = openWindow(`${slide('Una', 60)}${slide('Dos', 600)}<svg data-marpit-svg><section></section></svg>
  <div class="bespoke-marp-presenter-info-container"></div>`);
vi.stubGlobal('innerHeight', 720);
vi.useFakeTimers({ now: new Date('2026-03-02T10:00:00Z') });
afterAll(() => vi.useRealTimers());
const foot = document.querySelector('.bespoke-marp-presenter-info-container')!;
foot.getBoundingClientRect = () => ({ left: 40, width: 300, top: 700 }) as DOMRect;
const { Clock } = await import('../../../src/live/browser/clock.ts');

const actions = { toggle: vi.fn<ClockActions['toggle']>() };
const clock = new Clock(actions);
const face = document.querySelector<HTMLElement>('.vivo-reloj')!;
const press = (key: string) => document.dispatchEvent(Object.assign(new Event('keydown'), { key }));
const state = (changes: Partial<TalkState> = {}): TalkState => ({ experiments: {}, deck: 0, ...changes });
const turnTo = (index: number) => document.querySelectorAll('svg').forEach((one, i) =>
  one.setAttribute('class', i === index ? 'bespoke-marp-active' : ''));

beforeEach(() => {
  vi.clearAllMocks();
  clock.set(state());
  turnTo(0);
});

describe('the presenter’s clock', () => {
  it('stands over the foot of the view, with the time of the talk and that of the slide on show', () => {
    clock.set(state());
    expect(face.textContent).toBe('parado · 11:00 · esta, 1:00');
    expect([face.style.left, face.style.width, face.style.bottom]).toEqual(['40px', '300px', '20px']);
    turnTo(2);
    vi.advanceTimersByTime(500);
    expect(face.textContent).toBe('parado · 11:00 · esta, 0:00');
  });

  it('tells what the slide took the last time, by its title, if it took any', () => {
    const slides = [{ title: 'Una', share: 60, seconds: 0 }, { title: 'Dos', share: 600, seconds: 75 }];
    clock.set(state({ before: { startedAt: '2026-03-01T10:00:00Z', slides } }));
    expect(face.textContent).toBe('parado · 11:00 · esta, 1:00');
    turnTo(1);
    vi.advanceTimersByTime(500);
    expect(face.textContent).toBe('parado · 11:00 · esta, 10:00 (la última vez, 1:15)');
  });

  it('goes on by itself while it runs, from ahead to behind, and tells them apart by colour too', () => {
    turnTo(1);
    clock.set(state({ clock: startClock(1, Date.now()) }));
    const seen = [];
    for (const seconds of [10, 50, 640]) {
      vi.setSystemTime(Date.now() + seconds * 1000 - 500);
      vi.advanceTimersByTime(500);
      seen.push([face.textContent, face.dataset.ritmo, face.style.color]);
    }
    expect(seen).toEqual([
      ['quedan 10:50 · vas 0:50 por delante · esta, 0:10 de 10:00', 'ahead', '#56b4e9'],
      ['quedan 10:00 · vas a tiempo · esta, 1:00 de 10:00', 'on time', '#2fcf9f'],
      ['0:40 pasado de hora · vas 0:40 por detrás · esta, 11:40 de 10:00', 'behind', '#ff9d4d'],
    ]);
    clock.set(state());
    expect(face.style.color).toBe('#b9c0cc');
  });

  it('is started and stopped at its key and at a press, with the slide on show', () => {
    turnTo(1);
    press('T');
    clock.set(state({ clock: startClock(1, Date.now()) }));
    press('t');
    face.click();
    press('u');
    expect(actions.toggle.mock.calls).toEqual([[true, 1], [false, 1], [false, 1]]);
  });
});
