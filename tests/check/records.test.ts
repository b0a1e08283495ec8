import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { most, sizeFaults, staleFaults } from '../../src/check/records.ts';
import { writeRun } from '../../src/runs/store.ts';
import { record } from '../deck/record.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

describe('recorded runs', () => {
  it('hold while their inputs and code are what they were, and are told once they are not', () => {
    const { provenance: { code, ...provenance }, ...run } = record();
    const changed = { ...code!, files: { ...code!.files, 'demo/qlora.ts': 'other' } };
    const folder = at('runs');
    writeRun(record(), folder);
    expect(staleFaults(folder)).toEqual([]);
    writeRun({ ...run, provenance: { ...provenance, code: changed, inputs: [{ path: 'nowhere.json', sha256: '' }] } }, folder);
    expect(staleFaults(folder)).toEqual([
      expect.stringMatching(/qlora\.json, obsoleto: falta nowhere\.json, cambió demo\/qlora\.ts; vuelve a medirlo con npm run record$/),
    ]);
  });

  it('name the command that measures them again, where it is another', () => {
    writeRun({ ...record(), id: 'bench', command: 'npm run bench -- --cost' }, at('bench'));
    expect(staleFaults(at('bench'))).toEqual([expect.stringMatching(/; vuelve a medirlo con npm run bench -- --cost$/)]);
  });

  it('say the first of much that changed', () => {
    const inputs = ['a', 'b', 'c', 'd', 'e'].map((path) => ({ path, sha256: '' }));
    writeRun(record({}, inputs), at('many'));
    expect(staleFaults(at('many'))).toEqual([expect.stringContaining('falta a, falta b, falta c, y 2 cambios más;')]);
  });

  it('and the page that is handed out, may not grow too large', () => {
    writeRun(record(), at('small'));
    expect(sizeFaults('<p>', at('small'))).toEqual([]);
    writeFileSync(at('small', 'large.json'), 'x'.repeat(most.record + 1));
    expect(sizeFaults('ñ'.repeat(most.page / 2 + 1), at('small'))).toEqual([
      'la página ocupa 8 MiB, y puede 8 MiB', expect.stringMatching(/large\.json ocupa 1 MiB, y puede 1 MiB$/),
    ]);
  });
});
