import * as tf from '@tensorflow/tfjs';
import type { Graphs } from './graph.ts';
import { onGpu } from './native.ts';
import { NativeGraphs } from './native/graph.ts';
import { usedAdapter } from './webgpu/device.ts';
import { WebgpuGraphs } from './webgpu/graph.ts';

/**
 * Graphs where they are a gain. On native TensorFlow not on a GPU, where all that enters or leaves one, the weights
 * too, would go by way of the host's memory (`TF_SessionRun` takes and gives tensors there). On WebGPU not on a
 * processor in place of a GPU: it computes for so long that JavaScript does not matter, and longer for the padding.
 */
export function graphMode(): Graphs | undefined {
  const backend = tf.getBackend();
  if (backend === 'tensorflow' && !onGpu()) return new NativeGraphs();
  return backend === 'webgpu' && !usedAdapter()!.software ? new WebgpuGraphs() : undefined;
}
