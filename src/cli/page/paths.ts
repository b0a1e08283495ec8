/** Where the files that a training in the page reads are, in the project as in the page. */
export const embedded = {
  modelDir: 'assets/model', data: 'assets/data/alpaca_es.json', heldOut: 'assets/data/heldout_es.json',
};
export const wasmBinary = 'wasm/tfjs-backend-wasm-simd.wasm';
export const kernelBinaries = [
  'src/tensor/kernels/kernels.wasm', 'src/tensor/kernels/kernels-relaxed.wasm', 'src/quant/blockwise.wasm',
  'src/train/adamw.wasm',
];
/** The folder that modules take for their own in the page. */
export const kernelFolder = 'kernels';
