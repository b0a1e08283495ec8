import type { TimedEvent } from '../runs/events.ts';

/** What a training in the page is to be: by default what `npm run demo` does. A test asks for less. */
export interface TrainingOrder {
  /** Where tensors are computed; if not said, on the browser's GPU, or by wasm where it has none. */
  readonly backend?: 'webgpu' | 'wasm';
  /** Optimizer steps, in place of a pass over the examples. */
  readonly steps?: number;
  /** Questions of the examination, in place of all. */
  readonly questions?: number;
}

/** What the page's worker is given: what to do, and the files that the page carries, by their paths in the project. */
export interface TrainingTask {
  readonly order: TrainingOrder;
  readonly files: ReadonlyMap<string, Uint8Array>;
}

export type TrainingMessage =
  | { readonly type: 'event'; readonly event: TimedEvent }
  | { readonly type: 'finished' }
  /** Spanish: one sentence. */
  | { readonly type: 'failed'; readonly reason: string };

/** In the page: the order as JSON, and the files, of which the worker's program is one. */
export const [orderId, filesId, program] = ['orden-entrenamiento', 'ficheros-entrenamiento', 'worker.js'];

/**
 * Files as one array: the length of a table, the table as JSON (path and length of each), and their bytes.
 * `unpack` takes it apart again.
 */
export function pack(files: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const table = new TextEncoder().encode(JSON.stringify([...files].map(([path, { length }]) => [path, length])));
  const parts = [new Uint8Array(4), table, ...files.values()];
  new DataView(parts[0]!.buffer).setUint32(0, table.length, true);
  const packed = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    packed.set(part, at);
    at += part.length;
  }
  return packed;
}

export function unpack(packed: Uint8Array): Map<string, Uint8Array> {
  const length = new DataView(packed.buffer, packed.byteOffset).getUint32(0, true);
  const table = JSON.parse(new TextDecoder().decode(packed.subarray(4, 4 + length))) as [string, number][];
  let at = 4 + length;
  return new Map(table.map(([path, bytes]) => [path, packed.subarray(at, at += bytes)]));
}
