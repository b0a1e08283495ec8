import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import type { Parameter } from '../model/weights.ts';
import type { TrainingHooks } from '../peft/trainable.ts';
import { readAll } from '../tensor/read.ts';
import { AdamW } from './adamw.ts';
import type { AdamWOptions, StateArray } from './adamw.ts';
import type { FieldArray } from './moments.ts';
import type { Optimizer } from './optimizer.ts';

/** AdamW where gradients are read, and all is done on the host's copies. */
export class HostAdamW implements Optimizer {
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
