import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { at, spoken } from './slide.ts';
import type { Page } from './slide.ts';

/** «Hu et al., 2021», with or without a parenthesis before the year. */
const citation = /(\p{Lu}[\p{L}-]+) et al\.,? \(?(\d{4})/gu;
const cited = (text: string) => [...text.matchAll(citation)].map((match) => `${match[1]} et al., ${match[2]}`);

/**
 * Citations without a source, and sources that nobody cites.
 * @param bibliography a line a source, as «- Hu et al., 2021. *Title*. <https://…>»
 */
export function citationFaults(pages: readonly Page[], bibliography: string): string[] {
  const sources = bibliography.split('\n').filter((line) => line.startsWith('- '));
  const known = sources.flatMap((line) => cited(line).slice(0, 1));
  const used = new Set<string>();
  const missing = pages.flatMap((page) => {
    const names = new Set(cited(spoken(page).join(' ')));
    for (const name of names) used.add(name);
    return [...names].filter((name) => !known.includes(name)).map((name) => at(page, `«${name}» no está en la bibliografía`));
  });
  return [
    ...missing,
    ...known.filter((name) => !used.has(name)).map((name) => `bibliografía: nadie cita «${name}»`),
    ...sources.filter((line) => cited(line).length === 0 || !/<https:\/\/\S+>/.test(line))
      .map((line) => `bibliografía: «${line.slice(2, 50)}…» no es «Apellido et al., año. *Título*. <https://…>»`),
  ];
}

/** Links of the slides that lead nowhere. */
export function slideLinkFaults(pages: readonly Page[], folder: string): string[] {
  const ids = new Set(pages.flatMap(({ document }) => [...document.querySelectorAll('[id]')].map(({ id }) => `#${id}`)));
  return pages.flatMap((page) => [...page.document.querySelectorAll('a[href]')].flatMap((link) => {
    const wrong = linkFault(link.getAttribute('href')!, folder, ids);
    return wrong === undefined ? [] : [at(page, wrong)];
  }));
}

/** Links of a Markdown file that lead nowhere. */
export function markdownLinkFaults(file: string, markdown: string): string[] {
  const headings = new Set([...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    `#${heading!.toLocaleLowerCase('es').replaceAll(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(/\s/g, '-')}`));
  const prose = markdown.replaceAll(/^```.*?^```/gms, '').replaceAll(/`[^`\n]*`/g, '');
  const targets = [...prose.matchAll(/\]\(<?([^)\s>]+)>?\)|<(https?:[^>\s]*)>/g)].map((match) => match[1] ?? match[2]!);
  return targets.filter((target) => !/^(run|diagrama|plan):/.test(target)).flatMap((target) => {
    const wrong = linkFault(target, dirname(file), headings);
    return wrong === undefined ? [] : [`${file}: ${wrong}`];
  });
}

/** Nothing is asked of the network: an address is only read. */
function linkFault(target: string, folder: string, anchors: ReadonlySet<string>): string | undefined {
  if (target.startsWith('#')) return anchors.has(target) ? undefined : `el enlace «${target}» no lleva a ninguna parte`;
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) {
    const url = URL.canParse(target) ? new URL(target) : undefined;
    const whole = url?.protocol === 'mailto:' || (url?.protocol === 'https:' && url.hostname.includes('.'));
    return whole ? undefined : `«${target}» no es una dirección https entera`;
  }
  const path = join(folder, decodeURI(target.replace(/[#?].*/, '')));
  return existsSync(path) ? undefined : `el enlace «${target}» lleva a «${path}», que no existe`;
}
