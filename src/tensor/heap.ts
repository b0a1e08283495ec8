import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { UserError } from '../errors.ts';
import { shareClones } from './identity.ts';

const binaries = ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-threaded-simd.wasm'];

/**
 * Has the wasm backend start with its memory shared between threads, so that our kernels' threads see its tensors
 * where they lie. The backend's own build with threads does not start under Node; the one without needs no other
 * change than the word «shared» where it declares its memory.
 *
 * @param file the backend's binary with SIMD
 * @param start sets the backend, and says whether it could; it asks for its binary once
 */
export async function withSharedHeap(file: string, start: () => Promise<boolean>): Promise<boolean> {
  const code = readFileSync(file);
  shareMemory(code);
  setWasmPaths(Object.fromEntries(binaries.map((name) => [name, file])), true); // true: by the platform's fetch
  const { platform } = tf.env();
  const response = { ok: true, arrayBuffer: () => Promise.resolve(code) } as unknown as Response;
  tf.env().platform = Object.assign(Object.create(platform) as typeof platform, {
    fetch: () => Promise.resolve(response),
  });
  shareClones();
  try {
    const started = await start();
    if (started) refuseWhenFull();
    return started;
  } finally {
    tf.env().platform = platform;
  }
}

interface Allocator {
  _malloc: (bytes: number) => number;
  readonly _free: (pointer: number) => void;
}

const refusing = new WeakSet<Allocator>();

/** A full memory answers with the pointer 0, and the backend would write there, over its own. */
function refuseWhenFull(): void {
  const { wasm } = tf.backend() as unknown as { readonly wasm: Allocator };
  if (refusing.has(wasm)) return;
  refusing.add(wasm);
  wasm._free(wasm._malloc(1)); // its first call puts the function itself in this place
  const allocate = wasm._malloc;
  wasm._malloc = (bytes) => {
    const pointer = allocate(bytes);
    if (pointer !== 0 || bytes === 0) return pointer;
    throw new UserError('Al backend wasm no le queda memoria: tiene 4 GiB como mucho, para el modelo y lo que se calcula con '
      + 'él. Baja --batch-size o --max-length, elige un modelo más pequeño, o usa --backend tensorflow.');
  };
}

const MEMORY_SECTION = 5;
const [WITH_MAXIMUM, SHARED_WITH_MAXIMUM] = [1, 3];

/** Changes the one memory that a module declares (WebAssembly core specification, 5.5.8; threads proposal). */
function shareMemory(code: Uint8Array): void {
  let at = 8; // past the magic number and the version
  const unsigned = (): number => { // LEB128
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = code[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < code.length) {
    const section = code[at++];
    const length = unsigned();
    if (section !== MEMORY_SECTION) {
      at += length;
      continue;
    }
    if (unsigned() !== 1 || code[at] !== WITH_MAXIMUM) break;
    code[at] = SHARED_WITH_MAXIMUM;
    return;
  }
  throw new Error('The binary of the wasm backend does not declare one memory with a maximum');
}
