import * as tf from '@tensorflow/tfjs';
import type { Tensor } from '@tensorflow/tfjs';
import { announcedTo } from '../outside.ts';
import type { Source } from '../outside.ts';
import { webgpuBackend } from './device.ts';
import type { Drawn, WebgpuBackend } from './device.ts';
import { Graph } from './replay.ts';
import type { Dispatch, Given, Result, Slot, Store } from './replay.ts';

/** A function's dispatches, and what each is bound to. */
export class Recording {
  /** Why it cannot be a graph. */
  problem: string | undefined;
  private readonly backend: WebgpuBackend = webgpuBackend();
  private readonly sources: Source[] = [];
  private readonly dispatches: Dispatch<Slot>[] = [];
  /** By the identity of a tensor's data. */
  private readonly given = new Map<object, Given>();
  private readonly slots = new Map<GPUBuffer, Slot>();
  private readonly bound = new WeakMap<GPUBindGroup, readonly Slot[]>();
  private isUploading = false;

  constructor(args: readonly Tensor[]) {
    args.forEach(({ dataId }, index) => this.give(dataId, { of: 'args', index }));
  }

  private give(dataId: object, slot: Given): void {
    if (this.given.has(dataId)) return; // the same weight once more
    this.given.set(dataId, slot);
    const { resource } = this.backend.tensorMap.get(dataId);
    if (resource) this.slots.set(resource, slot);
  }

  take({ dataId }: Tensor, source: Source): void {
    if (this.given.has(dataId)) return;
    this.give(dataId, { of: 'sources', index: this.sources.length });
    this.sources.push(source);
  }

  /** Uniforms of the next dispatch that follow from the seed. */
  draws(buffer: GPUBuffer, drawn: Drawn): void {
    this.slots.set(buffer, { of: 'drawn', drawn });
  }

  /** Calls `f` with an ear to the backend and its device. */
  during(f: () => Tensor[]): Tensor[] {
    const { backend } = this;
    const { device, bufferManager } = backend;
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue(); // whoever encodes from now on begins
    const heard = [
      overheard(bufferManager, 'acquireBuffer', (acquire) => (...asked) => {
        const buffer = acquire(...asked);
        this.slots.set(buffer, { of: 'temporaries', buffer });
        return buffer;
      }),
      overheard(device.queue, 'writeBuffer', (write) => (buffer, at, data, ...part) => {
        const bytes = new Uint8Array(data as ArrayBuffer).slice();
        this.slots.set(buffer, { of: 'constants', bytes, usage: buffer.usage });
        write(buffer, at, data, ...part);
      }),
      overheard(backend, 'uploadToGPU', (upload) => (dataId) => this.upload(dataId, () => upload(dataId))),
      overheard(device, 'createBindGroup', (create) => (descriptor) => {
        const group = create(descriptor);
        this.bound.set(group, [...descriptor.entries].map(({ resource }) =>
          this.slotOf((resource as GPUBufferBinding).buffer)));
        return group;
      }),
      overheard(backend, 'ensureCommandEncoderReady', (ensure) => () => {
        if (backend.commandEncoder) return;
        ensure();
        this.hear(backend.commandEncoder!);
      }),
      overheard(backend, 'readSync', (read) => (dataId) => {
        this.problem ??= 'it reads values';
        return read(dataId);
      }),
    ];
    backend.recording = this;
    try {
      return announcedTo(this, () => tf.tidy(f));
    } finally {
      backend.recording = undefined;
      heard.forEach((stop) => stop());
      if (backend.commandEncoder) {
        backend.endComputePassEncoder();
        backend.submitQueue(); // the encoder with the ear
      }
    }
  }

  private upload(dataId: object, upload: () => void): void {
    const held = this.backend.tensorMap.get(dataId);
    const { values } = held;
    if (held.resource) return;
    this.isUploading = true;
    upload();
    this.isUploading = false;
    const given = this.given.get(dataId);
    if (given) {
      this.slots.set(held.resource!, given);
    } else if (values) {
      // A factor is part of the program; a row of numbers is data, and may be others the next time.
      if (held.dtype === 'float32' && held.shape.length > 0) {
        this.problem ??= `numbers of shape [${held.shape.join(', ')}] are written into it`;
      }
      const { buffer } = held.dtype === 'float32' ? Float32Array.from(values) : Int32Array.from(values);
      const { usage } = held.resource!;
      this.slots.set(held.resource!, { of: 'constants', bytes: new Uint8Array(buffer), usage });
    }
  }

  private hear(encoder: GPUCommandEncoder): void {
    overheard(encoder, 'copyBufferToBuffer', (copy) => (...asked: unknown[]) => {
      if (!this.isUploading) this.problem ??= 'it copies';
      (copy as (...asked: unknown[]) => void)(...asked);
    });
    overheard(encoder, 'beginComputePass', (begin) => (descriptor) => {
      const pass = begin(descriptor);
      let pipeline!: GPUComputePipeline;
      let bindings!: readonly Slot[];
      overheard(pass, 'setPipeline', (set) => (given) => set(pipeline = given));
      overheard(pass, 'setBindGroup', (set) => (index: number, group?: GPUBindGroup | null) => {
        bindings = this.bound.get(group!)!;
        set(index, group!);
      });
      overheard(pass, 'dispatchWorkgroups', (dispatch) => (...groups) => {
        this.dispatches.push({ pipeline, bindings, groups });
        dispatch(...groups);
      });
      return pass;
    });
  }

  private slotOf(buffer: GPUBuffer): Slot {
    const slot = this.slots.get(buffer);
    if (!slot) this.problem ??= `a tensor of ${buffer.size} bytes comes from outside unannounced`;
    return slot ?? { of: 'temporaries', buffer };
  }

  /** @param results what the function gave */
  graph(results: readonly Tensor[], store: Store): Graph | undefined {
    const made = new Map<Slot, Given>();
    const shapes: (readonly number[])[] = [];
    const outputs = results.map(({ dataId, shape, dtype }): Result => {
      const { resource } = this.backend.tensorMap.get(dataId);
      const slot = resource && this.slots.get(resource);
      if (!slot || dtype !== 'float32' || slot.of === 'constants' || slot.of === 'drawn') {
        this.problem ??= 'what it gives is not computed by it';
        return { of: 'outputs', index: 0, shape };
      }
      if (slot.of !== 'temporaries') return { ...slot, shape };
      if (!made.has(slot)) made.set(slot, { of: 'outputs', index: shapes.push(shape) - 1 });
      return { ...made.get(slot)!, shape };
    });
    if (this.problem !== undefined || this.dispatches.length === 0) return undefined;
    const own = store.borrow();
    const dispatches = this.dispatches.map(({ bindings, ...others }) => ({
      ...others,
      bindings: bindings.map((slot) => made.get(slot) ?? ('index' in slot ? slot : own.bufferOf(slot))),
    }));
    return new Graph(this.backend, dispatches, this.sources, own.drawn, shapes, outputs);
  }
}

/** Puts a function in the place of a method, until it is called off. */
function overheard<T extends object, K extends keyof T>(
  who: T, name: K, instead: (method: T[K]) => T[K],
): () => void {
  const own = Object.getOwnPropertyDescriptor(who, name);
  const method = (who[name] as (...args: unknown[]) => unknown).bind(who) as T[K];
  Object.defineProperty(who, name, { value: instead(method), configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(who, name, own);
    else delete who[name];
  };
}
