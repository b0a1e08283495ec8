import { describe, expect, it } from 'vitest';
import { checkpointingRecord, quantizationRecord, record, render } from './record.ts';

const foot = (html: string) => /<div class="procedencia"[^>]*>(.*)<\/div>/.exec(html)?.[1];
const loss = '![La pérdida](run:qlora/loss)';

describe('provenance', () => {
  it('says when, on what, from which commit and by which command', () => {
    expect(foot(render(loss).html[0]!))
      .toBe('<p>Medido aquí el 2 mar 2026 · wasm, 2 núcleos (Una &amp; otra) · abcdef0123 · <code>npm run demo</code></p>');
  });

  it('says it once a slide, for numbers too, and only where something was measured', () => {
    const { html } = render(`${loss}\n\n![x](run:qlora/bytes)\n\n{{qlora.training.steps}}\n\n---\n\nnada\n\n---\n\n{{qlora.training.steps}}`);
    expect(html.map((slide) => slide.match(/Medido aquí/g)?.length ?? 0)).toEqual([1, 0, 1]);
  });

  it('gathers runs of the same day, machine and commit in a line', () => {
    const slide = `${loss}\n\n![x](run:quantization/errors)`;
    expect(foot(render(slide).html[0]!)).toMatch(/^<p>.* · <code>npm run demo<\/code>, <code>npm run record<\/code><\/p>$/);
    const later = quantizationRecord({ startedAt: '2026-03-05T00:00:00.000Z' });
    const apart = render(slide, (id) => (id === 'qlora' ? record() : later)).html[0]!;
    expect(foot(apart)).toMatch(/2 mar 2026.*npm run demo<\/code><\/p><p>.*5 mar 2026.*npm run record<\/code><\/p>/);
  });

  it('says so when an input changed since or is gone, or the code is another', () => {
    const stale = (path: string) => foot(render(loss, () => record({}, [{ path, sha256: 'another' }])).html[0]!);
    expect(stale('package.json')).toMatch(/^<p><strong>OBSOLETO<\/strong> · Medido/);
    expect(stale('nowhere.json')).toContain('OBSOLETO');
    const { code: _code, ...provenance } = record().provenance;
    expect(foot(render(loss, () => record({ provenance })).html[0]!)).toContain('OBSOLETO');
    expect(foot(render(loss).html[0]!)).not.toContain('OBSOLETO');
  });

  it('says that the tree differed from the commit, and leaves out a commit that is not known', () => {
    const from = (commit: string | null, dirty: boolean) => {
      const run = checkpointingRecord();
      return foot(render('![x](run:checkpointing/peak)', () => ({ ...run, provenance: { ...run.provenance, commit, dirty } })).html[0]!);
    };
    expect(from('abcdef0123', true)).toContain('· abcdef0123 con cambios ·');
    expect(from(null, true)).toContain('(Una &amp; otra) · <code>npm run record');
  });
});
