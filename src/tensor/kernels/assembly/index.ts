// AssemblyScript, compiled by `npm run kernels` into ../kernels.wasm (a test rebuilds it and compares).
// The memory is that of the wasm backend: every pointer is the byte offset of a tensor's float32 values. Nothing here
// may need memory of its own (static data, the heap), which would lie over the backend's.

export { rotate } from './attention';
export { dropout } from './dropout';
export { run, serve } from './pool';
