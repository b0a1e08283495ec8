import type { Panel } from './panel.ts';
import { currentSlide, slides } from './slides.ts';

/** Puts each panel on the slide that asks for it. */
export function mountPanels(panels: readonly Panel[]): void {
  for (const panel of panels) {
    const section = document.querySelector(`section[data-experimento="${panel.id}"]`);
    if (section) panel.mount(section);
  }
}

/** Keys on a slide with an experiment: «e» runs or stops it, «c» opens or closes its panel, «g» shows more charts. */
export function bindKeys(panels: readonly Panel[]): void {
  shareKeys();
  document.addEventListener('keydown', (event) => {
    if (isTyping(event)) return;
    const key = keyOf(event);
    const id = slides()[currentSlide()]?.querySelector('section')?.dataset.experimento;
    const panel = panels.find((one) => one.id === id);
    if (!panel) return;
    if (key === 'e') panel.toggleRun();
    else if (key === 'c') panel.toggleOpen();
    else if (key === 'g') panel.turnPage();
    else if (key === 'escape' && panel.isOpen) {
      event.stopPropagation(); // Marp's player opens its overview at Escape
      panel.toggleOpen();
    }
  }, { capture: true });
}

/** Marp's player hears no key on a button: here it hears those that press none, as if nothing had the focus. */
function shareKeys(): void {
  addEventListener('keydown', (event) => {
    const { target, key, ctrlKey, altKey, metaKey } = event;
    if (!(target instanceof HTMLButtonElement) || target.closest('.vivo-plan')) return;
    if (ctrlKey || altKey || metaKey || ['Enter', ' ', 'Tab', 'Shift'].includes(key)) return;
    event.stopImmediatePropagation();
    if (!document.body.dispatchEvent(new KeyboardEvent('keydown', event))) event.preventDefault();
  }, { capture: true });
}

/** The key, in small letters; none if it is for the browser, or held down: a key asks once. */
export function keyOf({ key, repeat, ctrlKey, altKey, metaKey }: KeyboardEvent): string | undefined {
  return repeat || ctrlKey || altKey || metaKey ? undefined : key.toLowerCase();
}

/** Whether a key is for what is being written or chosen, and not for the slide. */
export function isTyping({ target }: KeyboardEvent): boolean {
  const element = target as HTMLElement;
  return element.isContentEditable || element.closest('input, select, textarea') !== null;
}
