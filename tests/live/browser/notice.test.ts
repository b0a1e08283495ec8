import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openWindow } from './window.ts';

const { document } = openWindow('');
const { Notice } = await import('../../../src/live/browser/notice.ts');

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.useRealTimers(); });

const notice = new Notice();
const line = document.querySelector('p')!;

it('is said aloud, stays for six seconds and goes; another one has its own six', () => {
  expect(line.hidden).toBe(true);
  expect(line.parentElement!.getAttribute('role')).toBe('status');
  notice.say('Uno');
  vi.advanceTimersByTime(5000);
  notice.say('Dos');
  vi.advanceTimersByTime(5000);
  expect([line.hidden, line.textContent]).toEqual([false, 'Dos']);
  vi.advanceTimersByTime(1000);
  expect(line.hidden).toBe(true);
});

it('stays until it is cleared, if it is to last, whatever was said before', () => {
  notice.say('Ya se va');
  notice.say('Sin conexión', true);
  vi.advanceTimersByTime(60_000);
  expect([line.hidden, line.textContent]).toEqual([false, 'Sin conexión']);
  notice.clear();
  expect(line.hidden).toBe(true);
});

it('that is cleared leaves the next one its time', () => {
  notice.say('Uno');
  vi.advanceTimersByTime(5000);
  notice.clear();
  notice.say('Sin conexión', true);
  vi.advanceTimersByTime(2000);
  expect(line.hidden).toBe(false);
});
