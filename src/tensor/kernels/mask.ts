import { readFileSync } from 'node:fs';
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

/** Writes what a tensor is multiplied by to drop some of its elements: 0 for those, `scale` for the others. */
export function writeDropoutMask(mask: Float32Array, { threshold, scale, states }: DropoutDraw): void {
  loaded ??= load();
  const { memory } = loaded;
  const bytes = 4 * Math.ceil(mask.length / 4) * 4;
  const missing = 2 * bytes - memory.buffer.byteLength;
  if (missing > 0) {
    memory.grow(Math.ceil(missing / 65536));
    new Float32Array(memory.buffer).fill(1);
  }
  const out = memory.buffer.byteLength - bytes;
  loaded.dropout(0, out, mask.length, threshold, scale, ...states);
  mask.set(new Float32Array(memory.buffer, out, mask.length));
}
