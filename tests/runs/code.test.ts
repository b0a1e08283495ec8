import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { codeChanges, codeOf, parameterFiles } from '../../src/runs/code.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();
const project = process.cwd();
afterAll(() => process.chdir(project));

const write = (path: string, content: string | Uint8Array) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};

/** A lockfile in which `maths` brings `digits`, of which `other` has its own. */
const lock = (versions: { maths?: string; digits?: string; other?: string }) => JSON.stringify({
  packages: {
    '': {},
    'node_modules/maths': { version: versions.maths ?? '1.0.0', dependencies: { digits: '*' } },
    'node_modules/digits': { version: versions.digits ?? '1.1.0' },
    'node_modules/other': { version: versions.other ?? '2.0.0', dependencies: { digits: '*' } },
    'node_modules/other/node_modules/digits': { version: '9.0.0' },
  },
});

beforeEach(() => {
  mkdirSync(at('project'), { recursive: true });
  process.chdir(at('project'));
  write('demo/x.ts', `import { readFileSync } from 'node:fs';
import {
  a,
} from '../src/a.ts';
import type { T } from '../src/types.ts';
export { b } from '../src/b.ts';
import 'maths/fast';
const text = 'import of nothing';
`);
  write('src/a.ts', "const bytes = new URL('a.wasm', import.meta.url);\nexport const a = await import('./late.ts');\n");
  write('src/a.wasm', Uint8Array.of(0, 13, 10));
  write('src/b.ts', 'export const b = 1;\n');
  write('src/late.ts', "import '../demo/x.ts';\n");
  write('src/types.ts', 'export type T = 1;\n');
  write('src/cli/flags.ts', "import './screen.ts';\n");
  write('src/cli/screen.ts', '');
  write('package-lock.json', lock({}));
});

/** What changing something changes. */
function after(change: () => void): string[] {
  const before = codeOf('demo/x.ts');
  change();
  return codeChanges(before, codeOf('demo/x.ts'));
}

describe('the code of a program', () => {
  it('is all the files that its imports reach, its parameters, and the packages', () => {
    const { files, packages } = codeOf('demo/x.ts');
    expect(Object.keys(files)).toEqual(['demo/x.ts', 'src/a.ts', 'src/a.wasm', 'src/b.ts', 'src/cli/flags.ts', 'src/late.ts']);
    expect(packages).toEqual({ maths: '1.0.0' });
  });

  it('does not change of itself', () => {
    expect(after(() => {})).toEqual([]);
  });

  it.each<[string, () => void, string[]]>([
    ['a file of it', () => write('src/b.ts', 'export const b = 2;\n'), ['cambió src/b.ts']],
    ['a file that it opens', () => write('src/a.wasm', Uint8Array.of(0, 10)), ['cambió src/a.wasm']],
    ['its parameters', () => write('src/cli/flags.ts', '// r = 8'), ['cambió src/cli/flags.ts']],
    ['what it imports', () => {
      write('src/late.ts', "import './new.ts';\n");
      write('src/new.ts', '');
    }, ['cambió src/late.ts', 'ahora usa src/new.ts']],
    ['a file that is gone', () => rmSync('src/b.ts'), ['ya no usa src/b.ts']],
    ['a package', () => write('package-lock.json', lock({ maths: '1.0.1' })), ['maths pasó de 1.0.0 a 1.0.1']],
    ['what a package brings', () => write('package-lock.json', lock({ digits: '1.2.0' })),
      ['cambió un paquete de los que traen sus dependencias']],
  ])('changes with %s', (_what, change, said) => {
    expect(after(change)).toEqual(said);
  });

  it.each<[string, () => void]>([
    ['types', () => write('src/types.ts', 'export type T = 2;\n')],
    ['a package that it does not import', () => write('package-lock.json', lock({ other: '3.0.0' }))],
    ['what the file of its parameters imports', () => write('src/cli/screen.ts', '//')],
    ['a file of the project that it does not use', () => write('src/unused.ts', '//')],
    ['the line ends of another system', () => write('src/b.ts', 'export const b = 1;\r\n')],
    ['where the project lies', () => {
      process.chdir(project);
      rmSync(at('elsewhere'), { recursive: true, force: true });
      for (const name of ['demo/x.ts', 'src/a.ts', 'src/a.wasm', 'src/b.ts', 'src/late.ts', 'src/cli/flags.ts', 'package-lock.json']) {
        write(at('elsewhere', name), readFileSync(at('project', name)));
      }
      process.chdir(at('elsewhere'));
    }],
  ])('does not change with %s', (_what, change) => {
    expect(after(change)).toEqual([]);
  });
});

describe("the project's own programs", () => {
  it('find their parameters, the kernels and the package that computes', () => {
    process.chdir(project);
    expect(parameterFiles.filter((path) => !existsSync(path))).toEqual([]);
    const { files, packages } = codeOf('demo/qlora.ts');
    for (const path of [...parameterFiles, 'src/quant/quantize.ts', 'src/train/adamw.ts', 'src/tensor/kernels/kernels.wasm']) {
      expect(Object.keys(files)).toContain(path);
    }
    expect(Object.keys(packages)).toEqual(expect.arrayContaining(['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm']));
    expect(Object.keys(packages)).not.toContain('axe-core');
  });
});
