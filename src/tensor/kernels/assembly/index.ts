// AssemblyScript, compiled by `npm run kernels` into ../kernels.wasm (a test rebuilds it and compares).
// Memory is laid out by the caller: every pointer is a byte offset, every array float32.

export { attention, attentionGradients, rotate } from './attention';
export { dropout } from './dropout';

/** Where the caller may begin to lay out its arrays. */
export function base(): usize {
  return __heap_base;
}
