import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor1D } from '@tensorflow/tfjs';
import { settle } from '../model/weights.ts';
import type { Parameter } from '../model/weights.ts';
import { sizeOf } from '../shape.ts';
import { readAll } from '../tensor/read.ts';
import { adamw, addTo, squares } from '../tensor/webgpu/adamw.ts';
import { bindingBytes } from '../tensor/webgpu/device.ts';
import { flatLength, gather, layFlat, spread } from '../tensor/webgpu/flat.ts';
import type { Piece } from '../tensor/webgpu/flat.ts';
import { decays, stepNumbers } from './adamw.ts';
import type { AdamWOptions, StateArray } from './adamw.ts';
import type { FieldArray } from './moments.ts';
import type { Optimizer } from './optimizer.ts';

/** Numbers of a flat tensor: few dispatches for an adapter, and what a step takes for its while stays small. */
const MOST = 2 ** 24;

/** Parameters, or parts of them, that lie one after another: all decay, or none. Each tensor: (numbers). */
interface Flat {
  readonly decays: boolean;
  readonly pieces: readonly Piece[];
  m: Tensor1D;
  v: Tensor1D;
  /** Gradients of the micro-batches so far. */
  sum?: Tensor1D | undefined;
  /** The parameters before the last step. */
  before?: Tensor1D | undefined;
}

/**
 * AdamW in 32 bits on WebGPU: the parameters of an adapter are hundreds of small tensors, and are taken all at once.
 * What is read of a step is its gradients' norm; the host's copies of the parameters fall behind, and `settle` reads
 * them when they are wanted. It holds 16 bytes a parameter: both moments, the sum of gradients, and what `undo` needs.
 */
export class DeviceAdamW implements Optimizer {
  steps = 0;
  private readonly flats: readonly Flat[];

  /** @param options of which those of pages say nothing here: all is on the device */
  constructor(
    private readonly parameters: readonly Parameter[],
    private readonly options: Pick<AdamWOptions, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'>,
  ) {
    const most = Math.min(MOST, Math.floor(bindingBytes() / 4));
    this.flats = [true, false].flatMap((decay) => {
      const sizes = parameters.map(({ name, values }) => (decays(name) === decay ? values.length : 0));
      return layFlat(sizes, most).map((pieces) => {
        const zeros = () => tf.fill([flatLength(pieces)], 0) as Tensor1D;
        return { decays: decay, pieces, m: zeros(), v: zeros() };
      });
    });
  }

  get stats() {
    const totalBytes = this.flats.reduce((sum, { m, v }) => sum + 4 * (m.size + v.size), 0);
    return { totalBytes, residentBytes: totalBytes, pageIns: 0 };
  }

  add(gradients: Tensor[]): Promise<void> {
    for (const flat of this.flats) {
      const own = gather(gradients, flat.pieces);
      if (flat.sum) {
        addTo(flat.sum, own);
        own.dispose();
      } else {
        flat.sum = own;
      }
    }
    tf.dispose(gradients);
    return Promise.resolve();
  }

  async norm(): Promise<number> {
    const parts = this.flats.map(({ sum }) => squares(sum!));
    const read = await readAll(parts);
    tf.dispose(parts);
    return Math.sqrt(read.reduce((total, part) => part.reduce((s, square) => s + square, total), 0));
  }

  step(learningRate: number, scale = 1): void {
    this.steps++;
    const { beta1, beta2, epsilon } = this.options;
    const numbers = { beta1, beta2, epsilon, scale, ...stepNumbers(this.options, this.steps, learningRate) };
    const tensors = this.tensors();
    for (const flat of this.flats) {
      flat.before = gather(tensors, flat.pieces, flat.before);
      const decay = flat.decays ? numbers.decay : 1;
      const after = adamw(flat.before, flat.sum!, flat.m, flat.v, { ...numbers, decay });
      spread(after, flat.pieces, tensors);
      tf.dispose([after, flat.sum!]);
      flat.sum = undefined;
    }
    this.parameters.forEach((parameter) => parameter.changed());
  }

  undo(): number {
    const tensors = this.tensors();
    if (this.flats.some(({ before }) => !before)) return this.steps;
    for (const { before, pieces } of this.flats) spread(before!, pieces, tensors);
    this.parameters.forEach((parameter) => parameter.changed());
    return this.steps - 1;
  }

  get stateArrays(): StateArray[] {
    return this.parameters.flatMap(({ name, shape }) => ['m', 'v'].map((field) => (
      { name: `${name}.${field}`, dtype: 'F32' as const, length: sizeOf(shape) })));
  }

  async exportState(): Promise<Map<string, Float32Array>> {
    const state = new Map(this.stateArrays.map(({ name, length }) => [name, new Float32Array(length)]));
    for (const { pieces, m, v } of this.flats) {
      const read = await readAll([m, v]);
      for (const { tensor, from, at, size } of pieces) {
        ['m', 'v'].forEach((field, i) =>
          state.get(`${this.parameters[tensor]!.name}.${field}`)!.set(read[i]!.subarray(at, at + size), from));
      }
    }
    return state;
  }

  importState(state: ReadonlyMap<string, FieldArray>, steps: number): void {
    this.steps = steps;
    for (const flat of this.flats) {
      const { pieces } = flat;
      const together = (field: 'm' | 'v') => {
        const values = new Float32Array(flatLength(pieces));
        for (const { tensor, from, at, size } of pieces) {
          values.set(state.get(`${this.parameters[tensor]!.name}.${field}`)!.subarray(from, from + size), at);
        }
        return tf.tensor1d(values);
      };
      tf.dispose([flat.m, flat.v]);
      [flat.m, flat.v] = [together('m'), together('v')];
    }
  }

  /** Of a device that is lost nothing can be read: the host's copies then stay those of the last `settle`. */
  async close(): Promise<void> {
    try {
      await settle(this.parameters);
    } catch {
      this.parameters.forEach((parameter) => parameter.upload());
    }
    for (const { m, v, sum, before } of this.flats) tf.dispose([m, v, sum, before]);
  }

  private tensors(): Tensor[] {
    return this.parameters.map((parameter) => parameter.tensor());
  }
}
