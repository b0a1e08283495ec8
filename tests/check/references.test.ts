import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { citationFaults, markdownLinkFaults, slideLinkFaults } from '../../src/check/references.ts';
import { temporaryFolder } from '../temporary.ts';
import { pages } from './pages.ts';

const at = temporaryFolder();

describe('citations', () => {
  const bibliography = '# B\n\n- Hu et al., 2021. *LoRA*. <https://arxiv.org/abs/2106.09685>\n';
  const faults = (markdown: string, sources = bibliography) => citationFaults(pages(markdown), sources);

  it('have their source, on the slide and in its notes', () => {
    expect(faults('> *LoRA* (Hu et al., 2021)')).toEqual([]);
    expect(faults('> Como dicen Hu et al. (2021)')).toEqual([]);
    expect(faults('Hu et al., 2021\n\n---\n\n> Liu et al., 2022\n\n^ **Notas:** Véase Wang et al., 2022.')).toEqual([
      'diapositiva 2: «Wang et al., 2022» no está en la bibliografía', 'diapositiva 2: «Liu et al., 2022» no está en la bibliografía',
    ]);
    expect(faults('Hu et al., 2022')).toContain('diapositiva 1: «Hu et al., 2022» no está en la bibliografía');
  });

  it('are there for every source', () => {
    expect(faults('# Nada')).toEqual(['bibliografía: nadie cita «Hu et al., 2021»']);
  });

  it.each(['- LoRA. <https://arxiv.org/abs/1>', '- Hu et al., 2021. *LoRA*.'])('are not made of «%s»', (line) => {
    expect(faults('Hu et al., 2021', `${bibliography}${line}\n`)).toContainEqual(expect.stringMatching(/^bibliografía: «.*» no es «Apellido/));
  });
});

describe('links', () => {
  const faults = (markdown: string) => slideLinkFaults(pages(markdown), at('.'));

  it('lead to a slide, a file or an address', () => {
    writeFileSync(at('esto.md'), '');
    expect(faults('[a](#2) [b](esto.md) [c](https://example.org/x?y#z)\n\n---\n\n# Dos')).toEqual([]);
  });

  it.each([
    ['[x](#3)', /^diapositiva 1: el enlace «#3» no lleva a ninguna parte$/],
    ['[x](nada.md)', /el enlace «nada\.md» lleva a «.*nada\.md», que no existe/],
    ['[x](http://example.org)', /«http:\/\/example\.org» no es una dirección https entera/],
    ['[x](https://localhost)', /no es una dirección https entera/],
  ])('%s is told', (markdown, fault) => {
    expect(faults(markdown)).toEqual([expect.stringMatching(fault)]);
  });

  it('of a document, too: files, headings and addresses, not what is code', () => {
    const told = (markdown: string) => markdownLinkFaults(at('doc.md'), markdown);
    writeFileSync(at('esto.md'), '');
    expect(told('![f](plan:uno/dos)')).toEqual([]);
    expect(told('# Cómo va\n\n[a](#cómo-va) [b](esto.md#x) `[c](nada)` <https://example.org>\n\n```\n[d](nada)\n```\n![e](run:qlora/loss)')).toEqual([]);
    expect(told('[a](otro.md) [b](#nada) <http://x>')).toHaveLength(3);
  });
});
