import { parseHTML } from 'linkedom';
import { afterAll, vi } from 'vitest';

/**
 * A window without a browser, for what asks nothing of its layout: to be called before what is imported from
 * `src/live/browser`, whose modules read its address as they load.
 */
export function openWindow(body: string): Window & typeof globalThis {
  const window = parseHTML(`<!doctype html><html><head></head><body>${body}</body></html>`);
  vi.stubGlobal('document', window.document);
  vi.stubGlobal('location', { search: '' });
  vi.stubGlobal('MutationObserver', window.MutationObserver);
  afterAll(() => { vi.unstubAllGlobals(); });
  return window as unknown as Window & typeof globalThis;
}
