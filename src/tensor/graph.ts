import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { onGpu } from './native.ts';
import { NativeGraphs } from './native/graph.ts';
import { usedAdapter } from './webgpu/device.ts';
import { WebgpuGraphs } from './webgpu/graph.ts';

/** A function of tensors and of a seed, that is to be recorded. */
export interface Call {
  /** The function's name, and which of its kind it is: the blocks of a model differ in nothing but their weights. */
  readonly name: string;
  readonly member: number;
  readonly args: readonly Tensor[];
  readonly seed: number;
}

/**
 * Graph mode for TensorFlow.js. A function is run once while the operations that it ends in are written down; from then
 * on they are run without the JavaScript that led to them, which takes 20 to 60 µs for each. Nothing is programmed
 * twice: what is recorded is the program itself. Tensors that it uses without being given them are to be had by
 * `outside`.
 */
export interface Graphs {
  /** The tensors that `f` gives, by `f` itself or by its graph. It may not depend on numbers that change. */
  run(call: Call, f: () => Tensor[]): Tensor[];
  /** Why functions run operation by operation, if some do: by name. */
  readonly problems: ReadonlyMap<string, string>;
  dispose(): void;
}

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
