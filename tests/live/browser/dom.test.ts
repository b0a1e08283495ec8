import { describe, expect, it, vi } from 'vitest';
import { openWindow } from './window.ts';

const { Event } = openWindow('');
const { button, element, scrollable, setText, withOptions } = await import('../../../src/live/browser/dom.ts');

describe('a button', () => {
  it('does what it is for; it keeps the focus after a key, and gives it back to the slides after a mouse', () => {
    const done: string[] = [];
    const made = button('x', 'Vale', 'Acepta', () => done.push('pressed'));
    made.blur = () => void done.push('blurred');
    for (const detail of [0, 1]) made.dispatchEvent(Object.assign(new Event('click'), { detail }));
    expect(done).toEqual(['pressed', 'blurred', 'pressed']);
    expect(made).toMatchObject({ type: 'button', title: 'Acepta', className: 'x', textContent: 'Vale' });
  });

  it('is named by its words; one that has only a sign, by what it does', () => {
    const name = (label: string) => button('', label, 'Cierra (c)', () => {}).getAttribute('aria-label');
    expect([name('✕'), name('▶ Ejecutar'), name('')]).toEqual(['Cierra (c)', null, null]);
  });
});

describe('a box that scrolls', () => {
  it('has a name; keys that scroll it turn no slide, and others go on', () => {
    const box = scrollable(element('div', ''), 'Texto');
    expect(box.getAttribute('aria-label')).toBe('Texto');
    const goesOn = (key: string) => {
      const event = Object.assign(new Event('keydown'), { key, stopPropagation: vi.fn() });
      box.dispatchEvent(event);
      return event.stopPropagation.mock.calls.length === 0;
    };
    expect(['ArrowDown', 'PageUp', 'Home', 'End', ' ', 'e', 'Escape', 'x ', 'NotHome'].map(goesOn))
      .toEqual([false, false, false, false, false, true, true, true, true]);
  });
});

it('a text is set only where it is another: what is selected in it stays so', () => {
  const target = element('p', '', 'uno');
  const { firstChild } = target;
  setText(target, 'uno');
  expect(target.firstChild).toBe(firstChild);
  setText(target, 'dos');
  expect(target.textContent).toBe('dos');
});

it('no option of a command is torn from its value at the end of a line', () => {
  const parts = withOptions('usa --scheme fsdp --optimizer adamw: o --offload, que no');
  expect(element('p', '', ...parts).textContent).toBe('usa --scheme fsdp --optimizer adamw: o --offload, que no');
  const whole = parts.filter((part) => typeof part !== 'string') as HTMLElement[];
  expect(whole.map(({ textContent, style }) => [textContent, style.whiteSpace])).toEqual([
    ['--scheme fsdp', 'nowrap'], ['--optimizer adamw', 'nowrap'], ['--offload', 'nowrap'],
  ]);
});
