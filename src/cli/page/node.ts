/** What stands for Node's other modules in the page: what those of a training use of them. */

// node:os
export const availableParallelism = (): number => 1; // a page from a file may not share memory with other threads
export const tmpdir = (): string => 'tmp';

// node:v8
export const setFlagsFromString = (): void => undefined; // a page cannot set any: without relaxed SIMD, the plain build

// node:path
export const join = (...parts: string[]): string => parts.filter((part) => part !== '').join('/');
export const resolve = (path: string): string => path;
export const dirname = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

// node:crypto
let ids = 0;
/** Tells names of one page apart; `crypto.randomUUID` is not there in a page from a file. */
export const randomUUID = (): string => String(++ids).padStart(8, '0');
export const createHash = (): never => missing('crypto');

// node:buffer
export const constants = { MAX_STRING_LENGTH: 2 ** 29 - 24 };

// node:worker_threads
export class Worker {
  constructor() {
    missing('worker_threads');
  }
}

function missing(name: string): never {
  throw new Error(`node:${name} is not there in a page`);
}

// hyparquet: the data of the page are JSON
export const [asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema] = Array<() => never>(4)
  .fill(() => missing('fs'));
