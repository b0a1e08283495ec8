import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const root = join(import.meta.dirname, '..');

const lockfile = z.object({
  packages: z.record(z.string(), z.object({
    optionalDependencies: z.record(z.string(), z.string()).optional(),
    resolved: z.string().optional(),
  })),
});
type Packages = z.infer<typeof lockfile>['packages'];

/** Optional packages, mostly one a platform, that a package names and the lockfile lacks: `npm ci` fails there. */
function missingOptional(packages: Packages): string[] {
  const installed = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, '')));
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !installed.has(name)).map((name) => `${path} -> ${name}`));
}

describe('package-lock.json', () => {
  const { packages } = lockfile.parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')));

  it('names every optional package of every platform, so that it installs on all of them', () => {
    expect(missingOptional(packages)).toEqual([]);
  });

  it('would catch a platform that is missing', () => {
    const short: Packages = {
      'node_modules/tool': { optionalDependencies: { '@tool/linux': '1.0.0', '@tool/windows': '1.0.0' } },
      'node_modules/@tool/linux': {},
    };
    expect(missingOptional(short)).toEqual(['node_modules/tool -> @tool/windows']);
  });

  it('carries no download addresses, so that any registry or mirror serves it', () => {
    expect(Object.keys(packages).filter((path) => packages[path]?.resolved !== undefined)).toEqual([]);
  });
});

describe('.npmrc', () => {
  it('runs no install scripts', () => {
    expect(readFileSync(join(root, '.npmrc'), 'utf8').split(/\r?\n/)).toContain('ignore-scripts=true');
  });
});
