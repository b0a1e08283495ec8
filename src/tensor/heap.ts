import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { shareClones } from './identity.ts';

const binaries = ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-threaded-simd.wasm'];

/**
 * Has the wasm backend start with its memory shared between threads, so that our kernels' threads see its tensors
 * where they lie. The backend's own build with threads does not start under Node; the one without needs no other
 * change than the word «shared» where it declares its memory.
 *
 * @param file the backend's binary with SIMD
 * @param start sets the backend; it asks for its binary once
 */
export async function withSharedHeap<T>(file: string, start: () => Promise<T>): Promise<T> {
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
    return await start();
  } finally {
    tf.env().platform = platform;
  }
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
