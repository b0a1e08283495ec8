import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { temporaryFolder } from '../temporary.ts';
import { run } from './command.ts';

vi.setConfig({ testTimeout: 120_000 });

const at = temporaryFolder();

beforeAll(() => void vi.stubEnv('CHROME_PATH', at('nowhere')));
const check = (...args: string[]) => run('check', ...args);

/** A deck with some changes, its list of words and its bibliography beside it. */
function deck(...changes: [string, string][]): string {
  let markdown = readFileSync('slides/modulo-2.md', 'utf8');
  for (const [before, after] of changes) {
    expect(markdown).toContain(before);
    markdown = markdown.replace(before, after);
  }
  for (const name of ['palabras.txt', 'bibliografia.md']) copyFileSync(`slides/${name}`, at(name));
  writeFileSync(at('modulo-2.md'), markdown);
  return at('modulo-2.md');
}

describe('npm run check', () => {
  it('tells what fails and where, a line a check, and ends with 1', () => {
    const changed = deck(
      ['congela el modelo', 'conjela el modelo'], ['Hu et al., 2021', 'Hu et al., 2020'],
      ['cuando la VRAM es mínima', 'cuando la [VRAM](nada.md) es mínima'], ['# Optimización', '![](foto.png)\n\n# Optimización'],
    );
    const { status, stdout, stderr } = spawnSync(
      process.execPath, ['--import', './src/start.js', 'src/cli/check.ts', '--deck', changed], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✓ colores: /m);
    expect(stdout).toMatch(/^✗ textos alternativos: 1 fallo\n {4}diapositiva 1: una imagen sin texto/m);
    expect(stdout).toMatch(/^✗ ortografía: 1 fallo\n {4}diapositiva 2: «conjela»$/m);
    expect(stdout).toMatch(/^✗ enlaces: 2 fallos\n.*«foto\.png».*\n {4}.*modulo-2\.md: el enlace «nada\.md»/m);
    expect(stdout).toMatch(/^✗ citas: 1 fallo\n {4}diapositiva 2: «Hu et al., 2020»/m);
    // As exported: what a training in the page needs makes up most of it.
    const page = /^✓ tamaños: la página ocupa ([\d,]+) MiB$/m.exec(stdout)?.[1];
    expect(Number(page?.replace(',', '.'))).toBeGreaterThan(3);
    expect(stdout).toMatch(/^✗ navegador: 1 fallo\n {4}no lo hay: instala Chromium .* CHROME_PATH/m);
    expect(stdout).toMatch(/^Fallan \d, en \d+ segundos?\.\n$/m);
  });

  it('goes without a browser only when it is told to, and says so', async () => {
    writeFileSync(at('corta.md'), '# Hola');
    const { stdout } = await check('--no-browser', '--deck', at('corta.md'));
    expect(stdout).toMatch(/^✓ ortografía: texto, notas y pies de 1 diapositiva$/m);
    expect(stdout).toMatch(/^- desbordes, .* sin comprobar, por --no-browser$/m);
    expect(stdout).not.toContain('navegador:');
  });

  it('tells in a sentence of a deck that cannot be drawn', async () => {
    const { status, stdout, stderr } = await check('--deck', deck(['run:qlora/loss', 'run:qlora/nada']));
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^La diapositiva pide «run:qlora\/nada», que no existe; .*\n$/);
  });
});
