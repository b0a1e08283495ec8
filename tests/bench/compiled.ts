import { writeSync } from 'node:fs';
import { useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { webgpuBackend } from '../../src/tensor/webgpu/device.ts';
import { measure } from '../../src/train/measure.ts';
import { askedModel } from './asked.ts';

/*
 * A training step of two blocks on a device that computes nothing, which says in between what is compiled: what the
 * driver prints meanwhile belongs to it. See compilers.sh.
 */
const { sequence, folder } = askedModel('TinyLlama-1.1B', { layers: 2 });

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
await measure({ folder, sequence, batch: 1, r: 16, steps: 1 });
process.exit(0); // Dawn keeps the process
