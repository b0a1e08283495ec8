import { formatBytes } from '../../src/format.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { usedAdapter, webgpuBackend } from '../../src/tensor/webgpu/device.ts';
import { measure } from '../../src/train/measure.ts';
import { askedModel } from './asked.ts';

/*
 * How much of a device's memory training takes, counted without a GPU: on any adapter of WebGPU, in as much of this
 * machine's memory, buffers are made and written as for a step on a GPU, and nothing is computed.
 * usage: node --import ./src/start.js tests/bench/memory.ts [shape, as Llama-2-7B] [tokens, as 512]
 */
const { name, sequence, folder } = askedModel('Llama-2-7B');

await useBackend('webgpu');
Object.assign(usedAdapter()!, { software: false }); // as on a GPU: blocks as graphs, products in float16
useMixedPrecision(true);
const encoder = webgpuBackend().device.createCommandEncoder();
const pass = Object.getPrototypeOf(encoder.beginComputePass()) as GPUComputePassEncoder;
pass.dispatchWorkgroups = () => undefined;

const options = { folder, sequence, batch: 1, r: 16, steps: 3 };
const { base, adapter, moments, checkpoints, gpu } = await measure(options);
const peak = gpu!.peakBytes;
console.log(`${name}, ${sequence} tokens: ${formatBytes(peak)} at most; base ${formatBytes(base)}, adapter ${formatBytes(adapter)}, `
  + `moments ${formatBytes(moments)}, block inputs ${formatBytes(checkpoints)}, `
  + `the rest ${formatBytes(peak - base - adapter - moments - checkpoints)}`);
process.exit(0); // Dawn keeps the process
