import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import util from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { withSharedHeap } from './heap.ts';
import { startDawn } from './webgpu/dawn.ts';
import { usedAdapter } from './webgpu/device.ts';

export const backendNames = ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const;
export type BackendName = (typeof backendNames)[number];

const require = createRequire(import.meta.url);

function packageFolder(name: string): string {
  return dirname(require.resolve(`${name}/package.json`));
}

/** Where `@tensorflow/tfjs-node-gpu` lies. */
export function tensorflowFolder(): string {
  return packageFolder('@tensorflow/tfjs-node-gpu');
}

/** The compiled binding of that package: it is not there after `npm ci`, but after `npm run setup:tensorflow`. */
export function bindingFile(folder: string): string {
  return join(folder, 'lib', 'napi-v8', 'tfjs_binding.node');
}

/** Whether `@tensorflow/tfjs-node-gpu` has been given its native library. */
export function hasTensorflow(): boolean {
  return existsSync(bindingFile(tensorflowFolder()));
}

/** The fastest there is: native TensorFlow, then wasm, which needs nothing installed. */
export function defaultBackend(): BackendName {
  return hasTensorflow() ? 'tensorflow' : 'wasm';
}

/**
 * Chooses where tensors are computed and waits until it is ready: the one asked for, or else
 * `defaultBackend`.
 *
 * @throws UserError when the backend asked for is not installed.
 */
export async function useBackend(name: BackendName = defaultBackend()): Promise<BackendName> {
  tf.enableProdMode(); // no advice on the terminal, no NaN check after every kernel (the loop checks the loss)
  if (name === 'tensorflow') await registerTensorflow();
  if (name === 'webgpu' && usedAdapter() === undefined) await startDawn();
  const wasm = join(packageFolder('@tensorflow/tfjs-backend-wasm'), 'dist', 'tfjs-backend-wasm-simd.wasm');
  const start = () => tf.setBackend(name);
  if (!(await (name === 'wasm' ? withSharedHeap(wasm, start) : start()))) {
    throw new UserError(`El backend «${name}» no arranca en esta máquina: prueba con --backend wasm.`);
  }
  await tf.ready();
  return name;
}

async function registerTensorflow(): Promise<void> {
  if (!hasTensorflow()) {
    throw new UserError(
      'El backend «tensorflow» no tiene su biblioteca nativa: prepárala con «npm run setup:tensorflow», o usa --backend wasm.',
    );
  }
  await importTensorflow();
}

/** Loads the package, or a copy of it in a folder, which registers its backend. */
export async function importTensorflow(folder?: string): Promise<void> {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2'; // errors only
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true'; // of a GPU's memory what tensors take, not all from the start
  // tfjs-node still calls two helpers that Node 23 removed.
  const legacy = util as unknown as Record<string, unknown>;
  legacy['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  legacy['isArray'] ??= Array.isArray;
  await (folder === undefined
    ? import('@tensorflow/tfjs-node-gpu')
    : import(pathToFileURL(join(folder, 'dist', 'index.js')).href));
}
