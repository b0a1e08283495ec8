/** A new element with a class and what is in it. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name, className: string, ...inside: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  made.className = className;
  made.append(...inside);
  return made;
}

/** A button that gives the focus back to the slides once a mouse or a finger has pressed it; to a key it stays. */
export function button(className: string, label: string, title: string, press: () => void): HTMLButtonElement {
  const made = element('button', className, label);
  made.type = 'button';
  made.title = title;
  if (/^\P{L}+$/u.test(label)) made.setAttribute('aria-label', title); // a sign is no name
  made.addEventListener('click', ({ detail: clicks }) => {
    if (clicks > 0) made.blur();
    press();
  });
  return made;
}

/** A box that scrolls, and does so without a mouse too: keys that scroll it turn no slide. */
export function scrollable<Box extends HTMLElement>(box: Box, name: string): Box {
  box.tabIndex = 0;
  box.setAttribute('aria-label', name);
  box.addEventListener('keydown', (event) => {
    if (/^(Arrow|Page|Home|End| )/.test(event.key)) event.stopPropagation();
  });
  return box;
}

/** Sets a text where it is not so already. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A text with options of a command, none of which is torn: a line may end before one. */
export function withOptions(text: string): (Node | string)[] {
  return text.split(/(--[a-z-]+(?: [^\s:]+)?)/).map((part, i) => {
    if (i % 2 === 0) return part;
    const whole = element('span', '', part);
    whole.style.whiteSpace = 'nowrap';
    return whole;
  });
}

/** Does something when nothing else is to be done. */
export function whenIdle(work: () => void): void {
  if ('requestIdleCallback' in window) requestIdleCallback(work);
  else setTimeout(work);
}
