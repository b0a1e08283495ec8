import { writeFileSync } from 'node:fs';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { deckHtml } from '../../src/deck/marp-cli.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

describe('Marp’s player', () => {
  it('speaks Spanish, and leaves the words of slides and notes as they are', async () => {
    const said = 'Previous slide, "Presenter view" y "Timer"';
    writeFileSync(at('charla.md'), `---\ntitle: "Presenter view"\n---\n\n# ${said}\n\n\`"Timer"\`\n\n<!-- Next slide -->`);
    const html = await deckHtml(at('charla.md'));
    const { document } = parseHTML(html);
    const buttons = [...document.querySelectorAll('.bespoke-marp-osc button')];
    const names = ['Diapositiva anterior', 'Diapositiva siguiente', 'Pantalla completa', 'Vista general', 'Vista de presentador'];
    expect(buttons.map((button) => button.textContent)).toEqual(names);
    expect(buttons.map((button) => button.getAttribute('title')!.replace(/ \(\w\)$/, ''))).toEqual(names);
    const script = [...document.querySelectorAll('script')].at(-1)!.textContent;
    const english = [
      '`Page ', '"Presenter view"', '[Presenter view]', '[Overview]', '"Overview view"', '"Close overview"', '"Previous"', '"Next"',
      '"Current time"', '"Timer"', 'notes font size', 'is disabled',
    ];
    expect(english.filter((words) => script.includes(words))).toEqual([]);
    expect(script).toContain('toLocaleTimeString("es")');
    expect(script).toContain('"marp-inactive",()=>{}'); // its bar is no more hidden from who hears it
    expect(script).toContain('title:"Diapositiva siguiente",src:"?view=next"');
    expect(script).toMatch(/createElement\("iframe"\);(\w+)\.title="Vista general",\1\.src=/);
    expect(document.querySelector('.bespoke-marp-osc [role="status"]')!.getAttribute('data-bespoke-marp-osc')).toBe('page');
    expect(document.querySelector('title')!.textContent).toBe('Presenter view');
    expect(document.querySelector('h1')!.textContent).toBe('Previous slide, «Presenter view» y «Timer»');
    expect(document.querySelector('section code')!.textContent).toBe('"Timer"');
    expect(document.querySelector('.bespoke-marp-note')!.textContent).toBe('Next slide');
  }, 60_000);
});
