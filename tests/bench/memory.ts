import { existsSync } from 'node:fs';
import { formatBytes } from '../../src/format.ts';
import { shapes, syntheticFolder, writeSyntheticModel } from '../../src/model/synthetic.ts';
import type { Shape } from '../../src/model/synthetic.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { usedAdapter, webgpuBackend } from '../../src/tensor/webgpu/device.ts';
import { measure } from '../../src/train/measure.ts';

/*
 * How much of a device's memory training takes, counted without a GPU: on any adapter of WebGPU, in as much of this
 * machine's memory, buffers are made and written as for a step on a GPU, and nothing is computed.
 * usage: node --import ./src/start.js tests/bench/memory.ts [shape, as Llama-2-7B] [tokens, as 512]
 */
const [name = 'Llama-2-7B', sequence = '512'] = process.argv.slice(2);
const shape = shapes[name as keyof typeof shapes] as Shape | undefined;
if (!shape) throw new Error(`There is no shape ${name}; there are ${Object.keys(shapes).join(', ')}`);
const folder = syntheticFolder('out/bench', shape); // where `npm run bench` has it
if (!existsSync(folder)) for (const _ of writeSyntheticModel(folder, shape)) { /* it says how far it is */ }

await useBackend('webgpu');
Object.assign(usedAdapter()!, { software: false }); // as on a GPU: blocks as graphs, products in float16
useMixedPrecision(true);
const encoder = webgpuBackend().device.createCommandEncoder();
const pass = Object.getPrototypeOf(encoder.beginComputePass()) as GPUComputePassEncoder;
pass.dispatchWorkgroups = () => undefined;

const options = { folder, sequence: Number(sequence), batch: 1, r: 16, steps: 3 };
const { base, adapter, moments, checkpoints, gpu } = await measure(options);
const peak = gpu!.peakBytes;
console.log(`${name}, ${sequence} tokens: ${formatBytes(peak)} at most; base ${formatBytes(base)}, adapter ${formatBytes(adapter)}, `
  + `moments ${formatBytes(moments)}, block inputs ${formatBytes(checkpoints)}, `
  + `the rest ${formatBytes(peak - base - adapter - moments - checkpoints)}`);
process.exit(0); // Dawn keeps the process
