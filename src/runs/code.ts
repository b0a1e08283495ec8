import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { z } from 'zod';
import { readJson } from '../checkpoint/files.ts';
import { keptPerFile } from '../checkpoint/kept.ts';
import type { RunRecord } from './schema.ts';

export type Code = NonNullable<RunRecord['provenance']['code']>;

/** What every program computes on. */
const backend = 'src/tensor/backend.ts';

/**
 * Where the parameters that programs are called with are written down, and how their figures are taken: these files,
 * not all that they import.
 */
export const parameterFiles: readonly string[] = [
  'src/cli/flags.ts', 'src/cli/experiments.ts', 'src/cli/qlora-run.ts', 'src/cli/qlora-record.ts',
];

/**
 * What a program computes with: its own files, as far as their imports reach, and the packages that they import as
 * the lockfile resolves them. Types are not computed with; a package that none of them imports does not count.
 * Hashes are of the text with lines ended by LF, and paths count from the project: the same on every machine.
 * @param program its path from the project's root, with forward slashes
 */
export function codeOf(program: string): Code {
  const files: Record<string, string> = {};
  const packages = new Set<string>();
  const visit = (path: string, follow: boolean) => {
    if (path in files || !existsSync(path)) return;
    const { sha256, imports } = read(path);
    files[path] = sha256;
    if (!follow) return;
    for (const name of imports) {
      if (name.startsWith('.')) visit(posix.join(posix.dirname(path), name), true);
      else if (!name.startsWith('node:')) packages.add(/^(@[^/]+\/)?[^/]+/.exec(name)![0]);
    }
  };
  for (const path of [program, backend]) visit(path, true);
  for (const path of parameterFiles) visit(path, false);
  return { files: sorted(files), ...resolved([...packages]) };
}

/** What two readings of the code differ in, in words. */
export function codeChanges(before: Code, now: Code): string[] {
  const files = [...new Set([...Object.keys(before.files), ...Object.keys(now.files)])].sort()
    .filter((path) => before.files[path] !== now.files[path])
    .map((path) => (!(path in now.files) ? `ya no usa ${path}` : path in before.files ? `cambió ${path}` : `ahora usa ${path}`));
  const packages = [...new Set([...Object.keys(before.packages), ...Object.keys(now.packages)])].sort()
    .filter((name) => before.packages[name] !== now.packages[name])
    .map((name) => `${name} pasó de ${before.packages[name] ?? 'no estar'} a ${now.packages[name] ?? 'no estar'}`);
  const changes = [...files, ...packages];
  return changes.length === 0 && before.lock !== now.lock ? ['cambió un paquete de los que traen sus dependencias'] : changes;
}

/** The hash of a file, and what it imports if it is a program. */
const read = keptPerFile((path) => {
  const bytes = readFileSync(path);
  if (!path.endsWith('.ts')) return { sha256: hash(bytes), imports: [] };
  const text = bytes.toString('utf8').replaceAll('\r\n', '\n');
  return { sha256: hash(text), imports: importsOf(text) };
});

/** Modules, and files opened beside the module, as `new URL('kernels.wasm', import.meta.url)`; not `import type`. */
function importsOf(text: string): string[] {
  const modules = /^\s*(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  const beside = /\bnew URL\('([^']+)', import\.meta\.url\)/g;
  return [
    ...[...text.matchAll(modules)].map((match) => match[1] ?? match[2]!),
    ...[...text.matchAll(beside)].map((match) => `./${match[1]}`),
  ];
}

const lockfile = z.object({
  packages: z.record(z.string(), z.object({
    version: z.string().optional(),
    dependencies: z.record(z.string(), z.string()).optional(),
    optionalDependencies: z.record(z.string(), z.string()).optional(),
  })),
});

const readLockfile = keptPerFile((path) => readJson(path, lockfile));

/** Their versions, and a hash of those of everything that they bring with them. */
function resolved(names: readonly string[]): Pick<Code, 'packages' | 'lock'> {
  const { packages } = readLockfile('package-lock.json');
  const found = new Set<string>();
  const add = (from: string, name: string) => { // as Node looks for it: in the package's own folder, then further up
    for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
      const path = `${folder}${folder && '/'}node_modules/${name}`;
      const known = packages[path];
      if (known) {
        if (found.has(path)) return;
        found.add(path);
        for (const next of Object.keys({ ...known.dependencies, ...known.optionalDependencies })) add(path, next);
        return;
      }
      if (folder === '') return;
    }
  };
  for (const name of names) add('', name);
  const tree = [...found].sort().map((path) => `${path}@${packages[path]!.version}`);
  const own = Object.fromEntries(names.map((name) => [name, packages[`node_modules/${name}`]?.version ?? '?']));
  return { packages: sorted(own), lock: hash(tree.join('\n')) };
}

/** Half of a SHA-256 tells as well whether a file changed, and a record is read by people. */
const hash = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex').slice(0, 32);

const sorted = (of: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1)));
