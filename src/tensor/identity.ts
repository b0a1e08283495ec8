import * as tf from '@tensorflow/tfjs';
import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs';

/**
 * Has a clone on wasm share its original's memory, as on the other backends and as the wasm backend's own `reshape`
 * does. As it comes it copies, and a tape clones every tensor that it saves: all would be there twice.
 */
export function shareClones(): void {
  const kernel = { kernelName: tf.Identity, backendName: 'wasm' };
  tf.unregisterKernel(kernel.kernelName, kernel.backendName);
  tf.registerKernel({
    ...kernel,
    kernelFunc: ({ inputs, backend }) => {
      const { dataId, shape, dtype } = inputs['x'] as TensorInfo;
      (backend as KernelBackend).incRef(dataId);
      return { dataId, shape, dtype };
    },
  });
}
