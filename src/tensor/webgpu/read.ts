import type { Tensor } from '@tensorflow/tfjs';
import { checkDevice, unreadable, webgpuBackend } from './device.ts';

/**
 * The values of float32 tensors: copied side by side into one buffer, which is mapped once. An adapter has hundreds of
 * gradients, and each map is a turn of the event loop.
 */
export async function readTogether(tensors: readonly Tensor[]): Promise<Float32Array[]> {
  const backend = webgpuBackend();
  const bytes = tensors.reduce((sum, { size }) => sum + 4 * size, 0);
  if (bytes > backend.device.limits.maxBufferSize) {
    const middle = Math.ceil(tensors.length / 2);
    if (middle === tensors.length) return [await tensors[0]!.data<'float32'>()];
    return [...await readTogether(tensors.slice(0, middle)), ...await readTogether(tensors.slice(middle))];
  }
  for (const { dataId } of tensors) backend.uploadToGPU(dataId);
  const staging = backend.bufferManager.acquireBuffer(bytes, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  let at = 0;
  const starts = tensors.map(({ dataId, size }) => {
    backend.commandEncoder!.copyBufferToBuffer(backend.tensorMap.get(dataId).resource!, 0, staging, at, 4 * size);
    return (at += 4 * size) - 4 * size;
  });
  backend.submitQueue();
  try {
    await staging.mapAsync(GPUMapMode.READ);
  } catch {
    unreadable();
  }
  checkDevice();
  const mapped = staging.getMappedRange();
  const values = tensors.map(({ size }, i) => new Float32Array(mapped.slice(starts[i]!, starts[i]! + 4 * size)));
  staging.unmap();
  backend.bufferManager.releaseBuffer(staging);
  return values;
}
