import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';

/** The exports of `assembly/index.ts`. A pointer is a byte offset into the memory. */
interface Exports {
  readonly attention: (...args: number[]) => void;
  readonly attentionGradients: (...args: number[]) => void;
  readonly rotate: (...args: number[]) => void;
  readonly dropout: (...args: number[]) => void;
  readonly transpose: (...args: number[]) => void;
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

/** Our compiled kernels, over the wasm backend's own memory: no tensor is copied in or out. */
export function kernels(): Exports {
  if (!loaded) {
    const code = readFileSync(new URL('kernels.wasm', import.meta.url));
    const imports = { env: { memory: backend().wasm.asm.memory } };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), imports);
    loaded = exports as unknown as Exports;
  }
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

/** Calls `use` with the pointer to so many floats of scratch memory. */
export function withScratch(floats: number, use: (pointer: number) => void): void {
  const { wasm } = backend();
  const scratch = wasm._malloc(4 * floats);
  use(scratch >>> 0);
  wasm._free(scratch);
}
