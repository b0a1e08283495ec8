import { describe, expect, it } from 'vitest';
import { speller, spellingFaults, wordsOf } from '../../src/check/spelling.ts';
import { pages } from './pages.ts';

describe('spelling', () => {
  const knows = speller('# Una lista\nadapter # en inglés\nZhang\n');
  const faults = (markdown: string) => spellingFaults(pages(markdown), knows);

  it('finds misprints in text, emphasis, tables, notes, alternative texts and captions, once a slide', () => {
    expect(faults('# La cuantisación\n\nLa **cuantisación** del *modelo*.\n\n---\n\n| una |\n|---|\n| perdída |\n\n^ **Notas:** Recordár esto.'))
      .toEqual(['diapositiva 1: «cuantisación»', 'diapositiva 2: «Recordár»', 'diapositiva 2: «perdída»']);
    expect(faults('![El herror](run:qlora/loss)\n\n![Los hangulos](diagrama:lora)'))
      .toEqual(['diapositiva 1: «herror»', 'diapositiva 1: «hangulos»']);
  });

  it('wants accents', () => {
    expect(faults('La optimizacion')).toEqual(['diapositiva 1: «optimizacion»']);
    expect(faults('La optimización')).toEqual([]);
  });

  it('knows the words of the list, as they are written and to begin a sentence', () => {
    expect(faults('Adapter y adapter de Zhang')).toEqual([]);
    expect(faults('zhang')).toEqual(['diapositiva 1: «zhang»']);
  });

  it('leaves alone code, formulas, acronyms, what has figures in it and where figures come from', () => {
    expect(faults('`kode` VRAM NF4 bf16 65B\n\n```ts\nkonst a\n```\n\n$$ xyzzy % la equis $$\n\n![La pérdida](run:qlora/loss)')).toEqual([]);
  });

  it('parts compounds', () => {
    expect(wordsOf('multi‑tarea/low-rank: 4-bit «así»')).toEqual(['multi', 'tarea', 'low', 'rank', 'bit', 'así']);
  });
});
