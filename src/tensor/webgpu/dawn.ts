import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../../errors.ts';
import { registerBatchMatMul } from './batch-matmul.ts';
import { checkDevice, findAdapter, registerWebgpu, unreadable } from './device.ts';
import type { Adapter, WebgpuBackend } from './device.ts';

/** Dawn, Chromium's WebGPU, as a module of Node: what the npm package `webgpu` carries. */
interface Dawn {
  /** @param flags `name=value` each: see its README */
  create(this: void, flags: readonly string[]): GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

const require = createRequire(import.meta.url);

/** Where `npm run setup:webgpu` puts it: a folder that `npm install` leaves alone and `npm ci` takes away. */
export function dawnFolder(): string {
  return join(dirname(require.resolve('@tensorflow/tfjs-backend-webgpu/package.json')), '..', '..', '.webgpu');
}

/** The part of the package that serves this machine; the other platforms' would be ten times as much. */
export const dawnPlatform = `${process.platform}-${process.platform === 'darwin' ? 'universal' : process.arch}`;

export function dawnModule(folder: string): string {
  return join(folder, 'dist', dawnPlatform, 'dawn.node');
}

/** Whether this machine has been given Dawn. */
export function hasDawn(): boolean {
  return existsSync(dawnModule(dawnFolder()));
}

/**
 * Starts Dawn, as what `navigator` has of WebGPU.
 *
 * @param flags as its README has them: `name=value`
 */
export function openDawn(flags: readonly string[], folder = dawnFolder()): GPU {
  const { create, globals } = require(dawnModule(folder)) as Dawn;
  Object.assign(globalThis, globals);
  const gpu = create(flags);
  // TensorFlow.js looks for it there. Node has a navigator from version 21 on, without a GPU.
  if (!('navigator' in globalThis)) Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  return gpu;
}

/**
 * Registers the backend «webgpu» on Dawn. WEBGPU_ADAPTER, part of a name, chooses among several adapters.
 *
 * @throws UserError when Dawn is not there, or finds no adapter
 */
export async function startDawn(folder = dawnFolder()): Promise<Adapter> {
  if (!existsSync(dawnModule(folder))) {
    throw new UserError('El backend «webgpu» no está preparado: prepáralo con «npm run setup:webgpu», o usa --backend wasm.');
  }
  const wanted = process.env['WEBGPU_ADAPTER'];
  const gpu = openDawn([`enable-dawn-features=${toggles.join(',')}`, ...(wanted ? [`adapter=${wanted}`] : [])], folder);
  const found = await findAdapter(gpu).catch(() => undefined);
  if (!found) throw new UserError(noAdapter(wanted));
  const backend = await registerWebgpu(found);
  registerBatchMatMul();
  readInTurn(backend, await eventPump(backend.device));
  return found.told;
}

/**
 * What Dawn keeps back for want of a standard, subgroup matrices and times that are not rounded, and on NVIDIA float16,
 * which older drivers fail some of WebGPU's own tests with. Our kernels are tested by themselves. And no looks at
 * indices, which are half of a kernel's instructions: tests look instead (tests/tensor/webgpu/bounds.ts).
 */
const toggles = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', 'disable_robustness'] as const;

function noAdapter(wanted: string | undefined): string {
  if (wanted) {
    return `WEBGPU_ADAPTER: ningún adaptador se llama «${wanted}»; quítala, o di parte del nombre que da «npm run doctor».`;
  }
  const driver = process.platform === 'linux'
    ? 'instala libvulkan1 y el controlador de Vulkan de tu tarjeta' : 'actualiza el controlador de tu tarjeta';
  return `WebGPU no encuentra ninguna GPU: ${driver}, o usa --backend wasm.`;
}

/**
 * The function by which Dawn looks whether the GPU is done. It hands it to `setImmediate` whenever something is
 * awaited, and is overheard once.
 */
async function eventPump(device: GPUDevice): Promise<() => void> {
  await new Promise(setImmediate); // what the device's making has queued is over
  const probe = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const { setImmediate: later } = globalThis;
  let pump: (() => void) | undefined;
  globalThis.setImmediate = ((action: () => void) => later(pump = action)) as typeof setImmediate;
  const mapped = probe.mapAsync(GPUMapMode.READ);
  globalThis.setImmediate = later;
  await mapped;
  probe.destroy();
  if (!pump) throw new Error('Dawn no longer waits by setImmediate: values cannot be read at once');
  return pump;
}

/**
 * Makes `dataSync` work, which a browser does by way of a canvas: the pump is worked here, and not in a later turn,
 * until the values are there.
 */
function readInTurn(backend: WebgpuBackend, pump: () => void): void {
  const bell = new Int32Array(new SharedArrayBuffer(4));
  backend.readSync = (dataId) => {
    const { values, resource, dtype } = backend.tensorMap.get(dataId);
    if (values) return values;
    const buffer = resource!;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const staging = backend.bufferManager.acquireBuffer(buffer.size, usage);
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.commandEncoder!.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
    backend.submitQueue();
    const { setImmediate: later } = globalThis;
    globalThis.setImmediate = (() => undefined) as unknown as typeof setImmediate; // no turn of the loop for the pump
    try {
      staging.mapAsync(GPUMapMode.READ).catch(() => undefined); // the state says how it ended
      for (let turn = 0; staging.mapState === 'pending'; turn++) {
        pump();
        if (turn > 8) Atomics.wait(bell, 0, 0, 0.05); // ms: a software adapter needs this core
      }
    } finally {
      globalThis.setImmediate = later;
    }
    if (staging.mapState !== 'mapped') return unreadable();
    checkDevice();
    const bytes = staging.getMappedRange().slice(0);
    staging.unmap();
    backend.bufferManager.releaseBuffer(staging);
    return tf.util.convertBackendValuesAndArrayBuffer(bytes, dtype);
  };
}
