import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { Parameter } from '../model/weights.ts';
import type { TrainingHooks } from '../peft/trainable.ts';
import { readAll } from '../tensor/read.ts';
import { AdamW, adamwDefaults } from './adamw.ts';
import type { AdamWOptions, StateArray } from './adamw.ts';
import { DeviceAdamW } from './device-adamw.ts';
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

export type OptimizerOptions = Partial<Omit<AdamWOptions, 'residentBytes'>> & {
  /**
   * Most bytes of states in memory. If not said, 1 MiB on the host, and on WebGPU no end: there the states stay on the
   * device, as a paged optimizer's do while it has room.
   */
  readonly residentBytes?: number | undefined;
};

/**
 * AdamW where the gradients are, if it can be there: on WebGPU, in 32 bits, with all its states in memory, and for a
 * method that does not look at gradients itself. Otherwise on the host, where states can be paged and be of 8 bits.
 */
export function makeOptimizer(
  parameters: readonly Parameter[], { residentBytes, ...options }: OptimizerOptions = {}, hooks: TrainingHooks = {},
): Optimizer {
  const given = { ...adamwDefaults, ...options };
  const stateBytes = parameters.reduce((sum, { values }) => sum + 8 * values.length, 0);
  const staysOnDevice = tf.getBackend() === 'webgpu' && given.optimizer === 'paged_adamw_32bit'
    && stateBytes <= (residentBytes ?? Infinity) && !hooks.penalty && !hooks.afterStep;
  return staysOnDevice
    ? new DeviceAdamW(parameters, given)
    : new HostAdamW(parameters, { ...given, residentBytes: residentBytes ?? given.residentBytes }, hooks);
}

/** Gradients are read, and all is done on the host's copies. */
class HostAdamW implements Optimizer {
  private readonly adamw: AdamW;
  private sums: Float32Array[] = [];
  private before: Float32Array[] | undefined;

  constructor(
    private readonly parameters: readonly Parameter[], options: AdamWOptions, private readonly hooks: TrainingHooks,
  ) {
    this.adamw = new AdamW(parameters, options);
  }

  get steps(): number {
    return this.adamw.steps;
  }

  get stats() {
    return this.adamw.stats;
  }

  get stateArrays(): StateArray[] {
    return this.adamw.stateArrays;
  }

  exportState(): Map<string, FieldArray> {
    return this.adamw.exportState();
  }

  importState(state: ReadonlyMap<string, FieldArray>, steps: number): void {
    this.adamw.importState(state, steps);
  }

  async add(gradients: Tensor[]): Promise<void> {
    const values = await readAll(gradients);
    tf.dispose(gradients);
    if (this.sums.length === 0) this.sums = values;
    else this.sums.forEach((sum, i) => addTo(sum, values[i]!));
  }

  norm(): Promise<number> {
    this.hooks.penalty?.().forEach((gradient, i) => addTo(this.sums[i]!, gradient));
    return Promise.resolve(Math.sqrt(this.sums.reduce(addSquares, 0)));
  }

  step(learningRate: number, scale = 1): void {
    if (this.before) this.before.forEach((before, i) => before.set(this.parameters[i]!.values));
    else this.before = this.parameters.map(({ values }) => values.slice());
    const { sums } = this;
    this.sums = [];
    try {
      this.adamw.step(sums, learningRate, scale);
    } catch (error) { // no room for a page on the disk: of half a step nothing stays
      this.undo();
      throw error;
    }
    this.hooks.afterStep?.(this.steps, sums.map((gradient) => gradient.map((g) => g * scale)));
  }

  undo(): number {
    if (!this.before) return this.steps;
    this.before.forEach((values, i) => this.parameters[i]!.assign(values));
    return this.steps - 1;
  }

  close(): Promise<void> {
    this.adamw.close();
    return Promise.resolve();
  }
}

function addSquares(sum: number, values: Float32Array): number {
  for (let j = 0; j < values.length; j++) {
    const g = values[j]!;
    sum += g * g;
  }
  return sum;
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let j = 0; j < sum.length; j++) sum[j]! += values[j]!;
}
