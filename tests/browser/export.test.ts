import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'export-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `npm run export` on a machine where no program is found but Node. */
function exportWithoutBrowser(output: string, ...args: string[]) {
  const programs = mkdtempSync(join(folder, 'bin-'));
  symlinkSync(process.execPath, join(programs, 'node'));
  return spawnSync(process.execPath, ['--import', './src/start.js', 'src/cli/export.ts', '--output', output, ...args],
    { encoding: 'utf8', env: { PATH: programs, CHROME_PATH: join(folder, 'nowhere'), HOME: folder } });
}

// Elsewhere browsers are looked for in their usual folders, not by name.
describe.skipIf(process.platform !== 'linux')(`npm run export${process.platform === 'linux' ? '' : ' [solo en Linux]'}`, () => {
  it('without a browser says what is missing, and leaves notes and HTML whole', () => {
    const output = join(folder, 'dist');
    const { status, stderr } = exportWithoutBrowser(output);
    expect(stderr).toMatch(/^No hay navegador .* instala Chromium .* CHROME_PATH=\S+\n$/);
    expect(status).toBe(1);
    expect(readdirSync(output).sort()).toEqual(['modulo-2.html', 'notas.txt']);
  }, 180_000);

  it('writes nothing of a deck that asks for what does not exist', () => {
    const [deck, output] = [join(folder, 'mala.md'), join(folder, 'mala')];
    writeFileSync(deck, '![x](run:qlora/nada)');
    const { status, stderr } = exportWithoutBrowser(output, '--deck', deck);
    expect(stderr).toMatch(/^La diapositiva pide «run:qlora\/nada», que no existe; .*\n$/);
    expect(status).toBe(1);
    expect(existsSync(output)).toBe(false);
  }, 180_000);
});
