import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Panel } from '../../../src/live/browser/panel.ts';
import { openWindow } from './window.ts';

const { document, Event } = openWindow(`
  <svg data-marpit-svg><section><h1>Uno</h1></section></svg>
  <svg data-marpit-svg class="bespoke-marp-active"><section data-experimento="qlora"><h1>Dos</h1></section></svg>
  <svg data-marpit-svg><section data-experimento="lora"><h1>Tres</h1></section></svg>
  <input><p contenteditable="true">x</p>`);
vi.stubGlobal('addEventListener', () => {}); // what it hears of buttons before all others, it passes on to the body
const { bindKeys, keyOf, mountPanels } = await import('../../../src/live/browser/keys.ts');

const panel = (id: string) => ({
  id, isOpen: true, toggleRun: vi.fn(), toggleOpen: vi.fn(), turnPage: vi.fn(), mount: vi.fn(),
}) satisfies Partial<Panel>;
const [lora, qlora] = [panel('lora'), panel('qlora')];
bindKeys([lora, qlora] as unknown as Panel[]);

const slides = [...document.querySelectorAll('svg')];
const turnTo = (index: number) => slides.forEach((slide, i) => slide.classList.toggle('bespoke-marp-active', i === index));
const press = (key: string, more: object = {}, on: Element = document.body) =>
  on.dispatchEvent(Object.assign(new Event('keydown', { bubbles: true }), { key, repeat: false, ...more }));

beforeEach(() => {
  turnTo(1);
  vi.clearAllMocks();
  Object.assign(qlora, { isOpen: true });
});

describe('a key on a slide with an experiment', () => {
  it('asks its panel, in large letters too', () => {
    for (const key of ['e', 'C', 'g']) press(key);
    expect([qlora.toggleRun, qlora.toggleOpen, qlora.turnPage].map(({ mock }) => mock.calls.length)).toEqual([1, 1, 1]);
    turnTo(2);
    press('e');
    expect(lora.toggleRun).toHaveBeenCalledOnce();
    expect(qlora.toggleRun).toHaveBeenCalledOnce();
  });

  it('closes its panel at Escape, and opens none', () => {
    press('Escape');
    expect(qlora.toggleOpen).toHaveBeenCalledOnce();
    Object.assign(qlora, { isOpen: false });
    press('Escape');
    expect(qlora.toggleOpen).toHaveBeenCalledOnce();
  });

  it.each(['repeat', 'ctrlKey', 'altKey', 'metaKey'])('asks nothing when it is for the browser, or held down: %s', (held) => {
    press('c', { [held]: true });
    expect(qlora.toggleOpen).not.toHaveBeenCalled();
    expect(keyOf({ key: 'c', [held]: true } as unknown as KeyboardEvent)).toBeUndefined();
  });

  it('asks nothing while something is written or chosen', () => {
    press('c', {}, document.querySelector('input')!);
    press('c', {}, document.querySelector('p')!);
    expect(qlora.toggleOpen).not.toHaveBeenCalled();
  });

  it('asks nothing on a slide without one', () => {
    turnTo(0);
    for (const key of ['e', 'c', 'g', 'Escape']) press(key);
    for (const { toggleRun, toggleOpen, turnPage } of [lora, qlora]) {
      for (const asked of [toggleRun, toggleOpen, turnPage]) expect(asked).not.toHaveBeenCalled();
    }
  });
});

it('each panel is put on the slide that asks for it; one that no slide asks for, on none', () => {
  const none = panel('none');
  mountPanels([qlora, none, lora] as unknown as Panel[]);
  expect(qlora.mount.mock.calls).toEqual([[slides[1]!.firstElementChild]]);
  expect(lora.mount.mock.calls).toEqual([[slides[2]!.firstElementChild]]);
  expect(none.mount).not.toHaveBeenCalled();
});
