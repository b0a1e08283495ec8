import { readFileSync } from 'node:fs';
import { UNALIGNED } from '../native.ts';
import type { DropoutDraw } from './dropout.ts';

/** The kernel of `dropout.ts` over a memory of its own, for backends that have none that WebAssembly could reach. */
interface Mask {
  readonly memory: WebAssembly.Memory;
  readonly dropout: (...args: number[]) => void;
}

let loaded: Mask | undefined;

function load(): Mask {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true }); // as the kernels are compiled
  new Float32Array(memory.buffer).fill(1); // what is to be dropped out of; the masks come after it
  const code = readFileSync(new URL('kernels.wasm', import.meta.url));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } });
  return { memory, dropout: exports['dropout'] as Mask['dropout'] };
}

/**
 * What a tensor of so many elements is multiplied by to drop some: 0 for those, `scale` for the others. In memory that
 * the next mask is written to, and where TensorFlow will copy it from.
 */
export function dropoutMask(size: number, { threshold, scale, states }: DropoutDraw): Float32Array {
  loaded ??= load();
  const { memory } = loaded;
  const bytes = 4 * Math.ceil(size / 4) * 4;
  const missing = 2 * bytes + 16 - memory.buffer.byteLength;
  if (missing > 0) {
    memory.grow(Math.ceil(missing / 65536));
    new Float32Array(memory.buffer).fill(1);
  }
  const out = memory.buffer.byteLength - bytes - 16 + UNALIGNED;
  loaded.dropout(0, out, size, threshold, scale, ...states);
  return new Float32Array(memory.buffer, out, size);
}
