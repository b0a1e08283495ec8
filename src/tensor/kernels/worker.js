// A thread of the pool: an instance of the kernels over the shared memory, which does what `run` in ../pool.ts hands out.
// Plain JavaScript, so that a thread starts without a compiler in it.
import { workerData } from 'node:worker_threads';

const { code, memory, board, scratch } = workerData;
new WebAssembly.Instance(code, { env: { memory } }).exports.serve(board, scratch);
