import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../src/errors.ts';

const requirements = join(import.meta.dirname, 'requirements.txt');
const venv = 'out/python';

/**
 * The Python that has the pinned packages: `PYTHON` from the environment, or the virtual environment in out/python, or
 * the system's.
 *
 * @throws UserError telling what each of them lacks, and how to get it
 */
export function findPython(): string {
  const candidates = process.env['PYTHON'] ? [process.env['PYTHON']] : [join(venv, 'bin/python'), 'python3'];
  const lacks = candidates.map((python) => ({ python, lack: missingIn(python) }));
  const found = lacks.find(({ lack }) => lack === '');
  if (found) return found.python;
  throw new UserError(
    `No hay con qué comparar (${lacks.map(({ python, lack }) => `«${python}» ${lack}`).join('; ')}): instálalo `
    + `con «python3 -m venv ${venv} && ${venv}/bin/pip install -r tests/interop/requirements.txt», o di en la variable `
    + 'PYTHON qué Python lo tiene.',
  );
}

/** What is wanted and not there, in words; empty when nothing is missing. */
function missingIn(python: string): string {
  const wanted = readFileSync(requirements, 'utf8').trim().split('\n').map((line) => line.split('==') as [string, string]);
  const script = `
import importlib.metadata as metadata
for name in ${JSON.stringify(wanted.map(([name]) => name))}:
    try: print(name, metadata.version(name))
    except metadata.PackageNotFoundError: pass`;
  const { status, stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  if (status !== 0) return 'no existe';
  // 2.13.0+cpu is 2.13.0, too.
  const present = new Map(stdout.trim().split('\n').map((line) => line.replace(/\+.*/, '').split(' ') as [string, string]));
  const lacks = wanted
    .filter(([name, version]) => present.get(name) !== version)
    .map(([name, version]) => `${name} ${version}${present.has(name) ? ` (tiene ${present.get(name)})` : ''}`);
  return lacks.length > 0 ? `no tiene ${lacks.join(', ')}` : '';
}
