import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';

/** The exports of `assembly/index.ts`. A pointer is a byte offset into the memory. */
interface Exports {
  readonly rotate: (...args: number[]) => void;
  readonly dropout: (...args: number[]) => void;
  readonly run: (board: number, scratch: number, kernel: number, tasks: number) => void;
}

/** What we need of the backend's insides, as its own kernels use them. */
interface WasmBackend {
  readonly wasm: {
    readonly asm: { readonly memory: WebAssembly.Memory };
    _malloc(bytes: number): number;
    _free(pointer: number): void;
  };
  readonly dataIdMap: { get(dataId: object): { readonly memoryOffset: number } };
  makeOutput(shape: readonly number[], dtype: 'float32'): TensorInfo;
}

let loaded: Exports | undefined;

function backend(): WasmBackend {
  return tf.backend() as unknown as WasmBackend;
}

/** The wasm backend's memory, which all threads share. */
export function heap(): WebAssembly.Memory {
  return backend().wasm.asm.memory;
}

/**
 * The kernels' code: the build that rounds products and sums together if this machine has relaxed SIMD. The V8 of
 * Node 20 has it behind a flag, a release before it came to stay.
 */
export function kernelCode(): WebAssembly.Module {
  const relaxed = readFileSync(new URL('kernels-relaxed.wasm', import.meta.url));
  if (!WebAssembly.validate(relaxed)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return new WebAssembly.Module(WebAssembly.validate(relaxed)
    ? relaxed
    : readFileSync(new URL('kernels.wasm', import.meta.url)));
}

/** Our compiled kernels, over the wasm backend's own memory: no tensor is copied in or out. */
export function kernels(): Exports {
  loaded ??= new WebAssembly.Instance(kernelCode(), { env: { memory: heap() } }).exports as unknown as Exports;
  return loaded;
}

/** Where a tensor's values lie. */
export function pointer(x: Tensor): number {
  return backend().dataIdMap.get(x.dataId).memoryOffset >>> 0;
}

/** A new tensor whose values are whatever the memory held: for a kernel to fill whole. */
export function uninitialized<T extends Tensor>(shape: readonly number[]): T {
  return tf.engine().makeTensorFromTensorInfo(backend().makeOutput(shape, 'float32')) as T;
}

/** So many bytes of the memory, to be freed by `release`. */
export function allocate(bytes: number): number {
  return backend().wasm._malloc(bytes) >>> 0;
}

export function release(pointer: number): void {
  backend().wasm._free(pointer);
}
