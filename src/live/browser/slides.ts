/** The slide on show, from 0. */
export function currentSlide(): number {
  return Math.max(0, slides().findIndex((slide) => slide.classList.contains('bespoke-marp-active')));
}

/** The slides of the page, as Marp's player has them. */
export function slides(root: ParentNode = document): Element[] {
  return [...root.querySelectorAll('svg[data-marpit-svg]')];
}

/** Which view of Marp's player this page is: the audience's, the presenter's, or a frame of one of them. */
export const view = new URLSearchParams(location.search).get('view') ?? '';

/** Calls back when another slide comes on show. */
export function onSlide(changed: () => void): void {
  const observer = new MutationObserver(changed);
  for (const slide of slides()) observer.observe(slide, { attributes: true, attributeFilter: ['class'] });
}

const read = async (): Promise<Document> =>
  new DOMParser().parseFromString(await (await fetch('./')).text(), 'text/html');

/** What was last drawn in each slide: until it is known, a slide counts as changed. */
const drawn = new WeakMap<Element, string>();

/** Takes note of the deck on show, so that of the next one only what differs is drawn. */
export async function remember(): Promise<void> {
  const [before, after] = [slides(), slides(await read())];
  before.forEach((slide, i) => {
    if (!drawn.has(slide) && after[i]) drawn.set(slide, after[i].innerHTML);
  });
}

/**
 * Draws the deck as it is now on the server in the place of the one on show, slide by slide, so that nothing moves but
 * what has changed; in the presenter's frames too, which hold the deck again.
 * @returns false if it has other slides, and the page has to be loaded again
 */
export async function redraw(): Promise<boolean> {
  const page = await read();
  if (slides().length !== slides(page).length) return false;
  drawIn(document, page);
  for (const { contentDocument } of document.querySelectorAll('iframe')) if (contentDocument) drawIn(contentDocument, page);
  return true;
}

function drawIn(shown: Document, page: Document): void {
  const after = slides(page);
  const [style, newStyle] = [shown, page].map((root) => [...root.querySelectorAll('head style')].at(-1));
  if (style && newStyle && style.textContent !== newStyle.textContent) style.textContent = newStyle.textContent;
  slides(shown).forEach((slide, i) => {
    const html = after[i]!.innerHTML;
    if (drawn.get(slide) !== html) slide.innerHTML = html;
    drawn.set(slide, html);
  });
  for (const note of page.querySelectorAll('.bespoke-marp-note')) {
    const old = shown.querySelector(`.bespoke-marp-note[data-index="${note.getAttribute('data-index')}"]`);
    if (old && old.innerHTML !== note.innerHTML) old.innerHTML = note.innerHTML;
  }
}
