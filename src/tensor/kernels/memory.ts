import { readFileSync } from 'node:fs';

/** The exports of `assembly/index.ts`. A pointer is a byte offset into the memory. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly base: () => number;
  readonly attention: (...args: number[]) => void;
  readonly attentionGradients: (...args: number[]) => void;
  readonly rotate: (...args: number[]) => void;
  readonly dropout: (...args: number[]) => void;
}

let loaded: Exports | undefined;

/** Our compiled kernels. */
export function kernels(): Exports {
  const file = new URL('kernels.wasm', import.meta.url);
  loaded ??= new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file))).exports as unknown as Exports;
  return loaded;
}

interface Layout {
  /** One an array. */
  readonly pointers: number[];
  /** A copy of the array of that index, as it is now. */
  readonly read: (index: number) => Float32Array;
}

/** Lays arrays out one after another in the kernels' memory; a number stands for so many floats of room. */
export function layOut(arrays: readonly (Float32Array | number)[]): Layout {
  const { memory, base } = kernels();
  let end = Math.ceil(base() / 16) * 16;
  const lengths = arrays.map((array) => (typeof array === 'number' ? array : array.length));
  const pointers = lengths.map((length) => {
    const pointer = end;
    end += Math.ceil(length / 4) * 16; // whole vectors
    return pointer;
  });
  if (end > memory.buffer.byteLength) memory.grow(Math.ceil((end - memory.buffer.byteLength) / 65536));
  arrays.forEach((array, i) => {
    if (typeof array !== 'number') new Float32Array(memory.buffer, pointers[i], array.length).set(array);
  });
  return { pointers, read: (index) => new Float32Array(memory.buffer, pointers[index], lengths[index]).slice() };
}
