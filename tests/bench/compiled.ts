import { existsSync, writeSync } from 'node:fs';
import { shapes, syntheticFolder, writeSyntheticModel } from '../../src/model/synthetic.ts';
import type { Shape } from '../../src/model/synthetic.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { webgpuBackend } from '../../src/tensor/webgpu/device.ts';
import { measure } from '../../src/train/measure.ts';

/*
 * A training step of two blocks on a device that computes nothing, which says in between what is compiled: what the
 * driver prints meanwhile belongs to it. See compilers.sh.
 */
const [name = 'TinyLlama-1.1B', sequence = '512'] = process.argv.slice(2);
const found = shapes[name as keyof typeof shapes] as Shape | undefined;
if (!found) throw new Error(`There is no shape ${name}; there are ${Object.keys(shapes).join(', ')}`);
const shape = { ...found, layers: 2 };
const folder = syntheticFolder('out/bench', shape); // where `npm run bench` has it
if (!existsSync(folder)) for (const _ of writeSyntheticModel(folder, shape)) { /* it says how far it is */ }

await useBackend('webgpu');
useMixedPrecision(true);
const { device } = webgpuBackend();
const create = device.createComputePipeline.bind(device);
device.createComputePipeline = (descriptor) => {
  writeSync(2, `\n@@ ${descriptor.label}\n`); // at once, as the driver writes
  const pipeline = create(descriptor);
  writeSync(2, '\n@@\n');
  return pipeline;
};
await measure({ folder, sequence: Number(sequence), batch: 1, r: 16, steps: 1 });
process.exit(0); // Dawn keeps the process
