import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

/** The rooms that each room may import, besides itself, the files of `src/` itself, node: and npm packages. */
const below: Record<string, readonly string[]> = {
  quant: [],
  tensor: ['quant'],
  checkpoint: ['quant'],
  data: ['checkpoint'],
  native: ['tensor', 'quant', 'checkpoint'],
  model: ['tensor', 'quant', 'checkpoint'],
  peft: ['model', 'tensor', 'quant', 'checkpoint'],
  runs: ['checkpoint'],
  train: ['peft', 'model', 'tensor', 'quant', 'checkpoint', 'data', 'runs'],
  distributed: ['train', 'peft', 'model', 'tensor', 'quant', 'checkpoint', 'data', 'runs'],
  charts: ['runs'],
  deck: ['runs', 'charts', 'checkpoint'],
  check: ['deck', 'runs'],
  live: ['runs', 'charts', 'deck'],
  demo: ['distributed', 'train', 'peft', 'model', 'tensor', 'quant', 'checkpoint', 'data', 'runs'],
  cli: [
    'demo', 'native', 'check', 'live', 'deck', 'charts', 'distributed', 'train', 'runs', 'peft', 'model', 'data', 'checkpoint', 'tensor',
    'quant',
  ],
};

/** Files directly in `src/` that every room may import. */
const commons = ['errors', 'format', 'lifeline', 'random', 'shape', 'statistics'].map((name) => `src/${name}.ts`);

/** The memory planner's formulas: they compute no tensor, and a slide plans with them. Their imports are held below. */
const formulas = ['advice', 'known', 'planner', 'size', 'words'].map((name) => `src/distributed/${name}.ts`);
const plannedIn = ['deck', 'live'];

const backendPackages = ['@tensorflow/tfjs-backend-wasm', '@tensorflow/tfjs-backend-webgpu', '@tensorflow/tfjs-node-gpu'];

/** 'src/quant/nf4.ts' is in the room quant, 'demo/lora.ts' in demo, 'src/errors.ts' in none. */
function roomOf(file: string): string | undefined {
  return /^src\/([^/]+)\//.exec(file)?.[1] ?? /^(demo)\//.exec(file)?.[1];
}

/** Every module named by an import, a re-export or a dynamic import with a literal name. */
function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

/**
 * What is wrong with one import, or undefined.
 * @param file its path from the root, with forward slashes
 */
function violation(file: string, imported: string): string | undefined {
  const room = roomOf(file);
  if (room === undefined) return undefined;
  if (!(room in below)) return `${file}: the room ${room} is not in the list of layers`;
  if (!imported.startsWith('.')) {
    const isBackend = backendPackages.some((name) => imported === name || imported.startsWith(`${name}/`));
    if (isBackend && room !== 'tensor') return `${file} imports ${imported}: only src/tensor knows the backends`;
    if (imported.startsWith('@tensorflow/') && room === 'quant') {
      return `${file} imports ${imported}: quant works on plain typed arrays`;
    }
    return undefined;
  }
  const target = relative('.', join(dirname(file), imported)).replaceAll('\\', '/');
  if (commons.includes(target)) return undefined;
  if (formulas.includes(target) && plannedIn.includes(room)) return undefined;
  const targetRoom = roomOf(target);
  if (targetRoom === room || (targetRoom !== undefined && below[room]!.includes(targetRoom))) return undefined;
  return `${file} imports ${imported}: ${room} may import ${below[room]!.join(', ') || 'no other room'}`;
}

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('.')) // a program edited in a talk comes and goes
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`);
}

describe('layers', () => {
  it('lets every file import only its own room and the rooms below it', () => {
    const files = [...filesOf('src'), ...filesOf('demo')];
    expect(files).toContain('src/runs/events.ts');
    const violations = files.flatMap((file) =>
      importsOf(readFileSync(join(root, file), 'utf8')).map((imported) => violation(file, imported)));
    expect(violations.filter((found) => found !== undefined)).toEqual([]);
  });

  it('lets slides plan by formulas that reach no tensor: these files import one another and the shapes of models', () => {
    const seen = formulas.flatMap((file) => importsOf(readFileSync(join(root, file), 'utf8'))
      .map((imported) => relative('.', join(dirname(file), imported)).replaceAll('\\', '/')));
    expect(seen.filter((file) => ![...formulas, ...commons, 'src/model/config.ts'].includes(file))).toEqual([]);
  });

  it('has no cycle: a room listed below another never lists it back', () => {
    for (const [room, rooms] of Object.entries(below)) {
      for (const lower of rooms) expect(below[lower], `${lower}, below ${room}`).not.toContain(room);
    }
  });

  it.each([
    ['src/quant/nf4.ts', '../tensor/backend.ts'],
    ['src/quant/nf4.ts', '@tensorflow/tfjs'],
    ['src/model/llama.ts', '@tensorflow/tfjs-backend-wasm/dist/index.js'],
    ['src/train/loop.ts', '@tensorflow/tfjs-node-gpu'],
    ['src/deck/run.ts', '../train/loop.ts'],
    ['src/live/browser/client.ts', '../../train/loop.ts'],
    ['src/train/loop.ts', '../cli/screen.ts'],
    ['src/train/loop.ts', '../../demo/lora.ts'],
    ['demo/lora.ts', '../src/charts/loss.ts'],
    ['src/charts/loss.ts', '../../tests/reporter.ts'],
    ['src/deck/plan.ts', '../distributed/ranks.ts'],
    ['src/charts/plan.ts', '../distributed/planner.ts'],
    ['src/unheardof/file.ts', './other.ts'],
  ])('would catch %s importing %s', (file, imported) => {
    expect(violation(file, imported)).toContain(file);
  });

  it.each([
    ['src/quant/nf4.ts', './blocks.ts'],
    ['src/quant/nf4.ts', 'node:fs'],
    ['src/quant/kernels/simd.ts', '../../errors.ts'],
    ['src/tensor/backend.ts', '@tensorflow/tfjs-node-gpu'],
    ['src/train/loop.ts', '../runs/events.ts'],
    ['src/cli/demo.ts', '../../demo/lora.ts'],
    ['demo/lora.ts', '../src/peft/lora.ts'],
    ['src/live/browser/planner.ts', '../../distributed/planner.ts'],
  ])('allows %s to import %s', (file, imported) => {
    expect(violation(file, imported)).toBeUndefined();
  });

  it('sees static, type, re-exported and dynamic imports', () => {
    const source = `
      import a from './a.ts';
      import type { B } from './b.ts';
      import { type C } from './c.ts';
      import './d.ts';
      export * from './e.ts';
      export type { F } from './f.ts';
      const g = await import('./g.ts');
      type H = import('./h.ts').H;
      // import './comment.ts';
      const text = "import './string.ts'";
    `;
    expect(importsOf(source).sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `./${name}.ts`));
  });
});
