import type { Tensor } from '@tensorflow/tfjs';

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
