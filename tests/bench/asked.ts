import { existsSync } from 'node:fs';
import { shapes, syntheticFolder, writeSyntheticModel } from '../../src/model/synthetic.ts';
import type { Shape } from '../../src/model/synthetic.ts';

/** What the command line asks for, `[shape] [tokens]`, and where such a model is: it is written if it is not there. */
export function askedModel(
  otherwise: keyof typeof shapes, change: Partial<Shape> = {},
): { name: string; sequence: number; folder: string } {
  const [name = otherwise, sequence = '512'] = process.argv.slice(2);
  const shape = shapes[name as keyof typeof shapes] as Shape | undefined;
  if (!shape) throw new Error(`There is no shape ${name}; there are ${Object.keys(shapes).join(', ')}`);
  const changed = { ...shape, ...change };
  const folder = syntheticFolder('out/bench', changed); // where `npm run bench` has it
  if (!existsSync(folder)) for (const _ of writeSyntheticModel(folder, changed)) { /* it says how far it is */ }
  return { name, sequence: Number(sequence), folder };
}
