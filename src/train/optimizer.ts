import type { Tensor } from '@tensorflow/tfjs';
import type { StateArray } from './adamw.ts';
import type { FieldArray } from './moments.ts';
import type { PagerStats } from './pager.ts';

/** What of an optimizer a checkpoint keeps: the same arrays, wherever they are held. */
export interface OptimizerState {
  /** Taken so far. */
  readonly steps: number;
  readonly stateArrays: readonly StateArray[];
  /** The contents of `stateArrays`, by name. */
  exportState(): Map<string, FieldArray> | Promise<Map<string, FieldArray>>;
  importState(state: ReadonlyMap<string, FieldArray>, steps: number): void;
}

/** Sums the gradients of a step's micro-batches and moves the parameters by them. */
export interface Optimizer extends OptimizerState {
  /** Bytes of its states, of those that are in memory, and pages that had to come back there. */
  readonly stats: Pick<PagerStats, 'totalBytes' | 'residentBytes' | 'pageIns'>;
  /** Adds a micro-batch's gradients to the sum, and frees the tensors. One a parameter, in their order. */
  add(gradients: Tensor[]): Promise<void>;
  /** Of the whole sum. To be asked for once a step, before it is taken: it includes the method's penalty. */
  norm(): Promise<number>;
  /** One update of every parameter by the sum, scaled first; the next sum begins. */
  step(learningRate: number, scale?: number): void;
  /** Puts back the parameters of before the last step. @returns the step that they are of */
  undo(): number;
  /** Nothing but the parameters is left of it, and the host has them. */
  close(): Promise<void>;
}
