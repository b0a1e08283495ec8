import { existsSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { formatBytes } from '../../src/format.ts';
import { shapes, writeSyntheticModel } from '../../src/model/synthetic.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import { openDawn } from '../../src/tensor/webgpu/dawn.ts';
import { findAdapter, registerWebgpu, webgpuBackend } from '../../src/tensor/webgpu/device.ts';
import { measure } from '../../src/train/measure.ts';

/*
 * How much of a device's memory training takes, counted without a GPU: on any adapter of WebGPU, in as much of this
 * machine's memory, buffers are made and written as for a step on a GPU, and nothing is computed.
 * usage: node --import ./src/start.js tests/bench/memory.ts [shape, as Llama-2-7B] [tokens, as 512]
 */
const [name = 'Llama-2-7B', sequence = '512'] = process.argv.slice(2);
const shape = shapes[name as keyof typeof shapes];
const folder = `out/bench/${Object.values(shape).join('-')}`; // where `npm run bench` has it
if (!existsSync(folder)) for (const _ of writeSyntheticModel(folder, shape)) { /* it says how far it is */ }

const { adapter, told } = (await findAdapter(openDawn([])))!;
await registerWebgpu({ adapter, told: { ...told, software: false } });
await tf.setBackend('webgpu');
useMixedPrecision(true);
const { device, bufferManager } = webgpuBackend();
const pass = Object.getPrototypeOf(device.createCommandEncoder().beginComputePass()) as GPUComputePassEncoder;
pass.dispatchWorkgroups = () => undefined;

const options = { folder, sequence: Number(sequence), batch: 1, r: 16, steps: 3 };
const { base, adapter: lora, moments, checkpoints } = await measure(options);
const peak = bufferManager.peakBytesAllocated;
console.log(`${name}, ${sequence} tokens: ${formatBytes(peak)} at most; base ${formatBytes(base)}, adapter ${formatBytes(lora)}, `
  + `moments ${formatBytes(moments)}, block inputs ${formatBytes(checkpoints)}, `
  + `the rest ${formatBytes(peak - base - lora - moments - checkpoints)}`);
process.exit(0); // Dawn keeps the process
