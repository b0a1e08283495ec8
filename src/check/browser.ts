import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Marp } from '@marp-team/marp-core';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { marpOptions, withPlugins } from '../deck/engine.ts';
import type { DeckOptions } from '../deck/engine.ts';
import { least, written } from './contrast.ts';

/** Opens the slides one under another, as they would be shown. */
export async function openDeck(browser: Browser, markdown: string, options: DeckOptions = {}): Promise<Page> {
  const { html, css } = withPlugins(new Marp({ ...marpOptions, script: false }), options).render(markdown);
  const folder = mkdtempSync(join(tmpdir(), 'deck-'));
  try {
    const file = join(folder, 'deck.html');
    writeFileSync(file, '<!doctype html><html lang="es"><head><meta charset="utf-8"><title>Presentación</title>'
      + `<style>${css}</style></head><body><main>${html}</main></body></html>`);
    const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
    await page.addInitScript('globalThis.__name = (of) => of'); // tsx names functions by it, in what runs there as well
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(() => document.fonts.ready);
    return page;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Slides, boxes in them, and words of their drawings, that do not fit in their place. */
export const overflowFaults = (page: Page): Promise<string[]> => page.evaluate(() =>
  [...document.querySelectorAll('section')].flatMap((section, i) => {
    const boxes = [section, ...section.querySelectorAll('div, figure, pre, table')]
      .filter((box) => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)
      .map((box) => {
        const name = [box.tagName.toLowerCase(), ...box.classList].join('.');
        const over = [box.scrollWidth - box.clientWidth, box.scrollHeight - box.clientHeight];
        return `diapositiva ${i + 1}: ${name} se sale ${Math.max(...over)} px por ${over[1]! > over[0]! ? 'abajo' : 'la derecha'}`;
      });
    const words = [...section.querySelectorAll('svg text')].filter((text) => {
      const [inner, outer] = [text.getBoundingClientRect(), text.closest('svg')!.getBoundingClientRect()];
      const across = Math.max(outer.left - inner.left, inner.right - outer.right);
      return Math.max(across, outer.top - inner.top, inner.bottom - outer.bottom) > 3;
    }).map((text) => `diapositiva ${i + 1}: «${text.textContent}» se sale de su dibujo`);
    return [...boxes, ...words];
  }));

/** Words and shapes that do not stand out from what is behind them, as the browser paints them. */
export const contrastFaults = (page: Page): Promise<string[]> => page.evaluate((bar) => {
  type Color = readonly [number, number, number, number];
  const read = (css: string): Color | undefined => {
    const [r, g, b, a = 1] = (/^rgba?\((.*)\)$/.exec(css)?.[1] ?? '').split(/[,\s/]+/).filter(Boolean).map(Number);
    return b === undefined ? undefined : [r!, g!, b, a];
  };
  const over = ([r, g, b, a]: Color, under: Color): Color =>
    [r * a + under[0] * (1 - a), g * a + under[1] * (1 - a), b * a + under[2] * (1 - a), 1];
  const luminance = (color: Color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const channel = value / 255;
      return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const contrast = (one: Color, other: Color) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light! + 0.05) / (dark! + 0.05);
  };
  const behind = (element: Element): Color => {
    const color = read(getComputedStyle(element).backgroundColor);
    if (color?.[3] === 1 || !element.parentElement) return color?.[3] === 1 ? color : [255, 255, 255, 1];
    return color && color[3] > 0 ? over(color, behind(element.parentElement)) : behind(element.parentElement);
  };
  const opacity = (element: Element | null): number =>
    (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const painted = (element: Element, property: 'color' | 'fill' | 'stroke'): Color | undefined => {
    const style = getComputedStyle(element);
    const color = read(style[property]);
    if (!color) return undefined;
    const own = property === 'fill' ? Number(style.fillOpacity) : property === 'stroke' ? Number(style.strokeOpacity) : 1;
    return [color[0], color[1], color[2], color[3] * own * opacity(element)];
  };
  const faults = new Map<string, string>();
  document.querySelectorAll('section').forEach((section, i) => {
    const judge = (element: Element, colors: readonly (Color | undefined)[], least: number, what: string) => {
      const ground = behind(element);
      const ratios = colors.flatMap((color) => (color ? [contrast(over(color, ground), ground)] : []));
      const best = Math.max(...ratios);
      if (ratios.length > 0 && best < least) faults.set(`${i}${what}`, `diapositiva ${i + 1}: ${what}, ${best.toFixed(3)} y hacen falta ${least}:1`);
    };
    for (const element of section.querySelectorAll('*')) {
      const inDrawing = element instanceof SVGElement;
      const words = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent!.trim()).join(' ').trim();
      // A drawing's words in the ground's colour stand on its bars: `tokenFaults` judges one token on another.
      const onBar = inDrawing && element.getAttribute('fill') === 'var(--ground)';
      if (words !== '' && !onBar && element.checkVisibility()) {
        judge(element, [painted(element, inDrawing ? 'fill' : 'color')], bar.text, `«${words.slice(0, 40)}»`);
      }
      // A drawing's grid and the tracks under its bars may be faint: they tell nothing.
      const panel = getComputedStyle(element).getPropertyValue('--panel');
      const faint = element.getAttribute('fill') === 'var(--panel)' || element.closest('.rejilla') !== null;
      if (panel !== '' && !faint && element.matches('rect, path, line, circle, polygon')) {
        judge(element, [painted(element, 'fill'), painted(element, 'stroke')], bar.graphics, `<${element.tagName}> de un dibujo`);
      }
    }
  });
  return [...faults.values()];
}, least).then((faults) => faults.map((fault) => fault.replace(/, ([\d.]+) y/, (_all, ratio: string) => `, ${written(Number(ratio))} y`)));

/**
 * What axe finds. Contrast is not asked of it: Marp's slides leave it in doubt, and ours is measured above, at 7:1.
 * @param part a selector of what is looked at
 */
export async function axeFaults(page: Page, part = 'html'): Promise<string[]> {
  await page.evaluate(axe());
  const { violations } = await page.evaluate(async (selector) =>
    (window as unknown as { axe: { run(part: string, options: object): Promise<AxeResults> } }).axe
      .run(selector, { resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } }), part);
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id} en ${target.join(' ')}`));
}

let source: string | undefined;
const axe = (): string => source ??= readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
