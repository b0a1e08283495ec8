import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { Call, Graphs } from '../graph.ts';
import { announcedTo } from '../outside.ts';
import type { Source } from '../outside.ts';
import { webgpuBackend } from './device.ts';
import type { Drawn, WebgpuBackend } from './device.ts';

/** A function is run once while its dispatches are written down; from then on they are what runs. */
export class WebgpuGraphs implements Graphs {
  /** By name, shapes and member: the graph that serves, or undefined for what cannot be one. */
  private readonly known = new Map<string, Graph | undefined>();
  private readonly store = new Store();

  readonly problems = new Map<string, string>();

  run({ name, member, args, seed }: Call, f: () => Tensor[]): Tensor[] {
    const key = [name, member, ...args.map(({ shape }) => shape.join('×'))].join(' ');
    if (!this.known.has(key)) {
      const recording = new Recording(args);
      const values = recording.during(f);
      this.known.set(key, recording.graph(values, this.store));
      if (recording.problem !== undefined) this.problems.set(name, recording.problem);
      return values;
    }
    const graph = this.known.get(key);
    return tf.tidy(() => (graph ? graph.run(args, seed) : f()));
  }

  dispose(): void {
    this.store.dispose();
    this.known.clear();
  }
}

/** A tensor that a graph is given at each run, or gives. */
interface Given {
  readonly of: 'args' | 'sources' | 'outputs';
  readonly index: number;
}

/** Numbers that are the same at each run. */
interface Constant {
  readonly of: 'constants';
  readonly bytes: Uint8Array;
  readonly usage: number;
}

/** Numbers that follow from a run's seed. */
interface DrawnSlot {
  readonly of: 'drawn';
  readonly drawn: Drawn;
}

/** What is made on the way. Where one buffer served for several while it was recorded, one serves again. */
interface Temporary {
  readonly of: 'temporaries';
  readonly buffer: GPUBuffer;
}

type Slot = Given | Constant | DrawnSlot | Temporary;

interface Dispatch<Binding> {
  readonly pipeline: GPUComputePipeline;
  readonly bindings: readonly Binding[];
  readonly groups: readonly [x: number, y?: number, z?: number];
}

/** A function's dispatches, and what each is bound to. */
class Recording {
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

/** Buffers that graphs own. They run one after another, and have what is made on the way in the same ones. */
class Store {
  private readonly backend: WebgpuBackend = webgpuBackend();
  private readonly buffers: GPUBuffer[] = [];
  /** By size. */
  private readonly temporaries = new Map<number, GPUBuffer[]>();
  private readonly constants = new Map<string, GPUBuffer>();

  private make(size: number, usage: number): GPUBuffer {
    const buffer = this.backend.bufferManager.acquireBuffer(size, usage);
    this.buffers.push(buffer);
    return buffer;
  }

  /** For one graph. */
  borrow() {
    const lent = new Map<GPUBuffer, GPUBuffer>();
    const lentOfSize = new Map<number, number>();
    const drawn = new Map<GPUBuffer, Drawn>();
    const temporary = (recorded: GPUBuffer): GPUBuffer => {
      const { size, usage } = recorded;
      const all = this.temporaries.get(size) ?? [];
      this.temporaries.set(size, all);
      const count = lentOfSize.get(size) ?? 0;
      lentOfSize.set(size, count + 1);
      const buffer = all[count] ??= this.make(size, usage);
      lent.set(recorded, buffer);
      return buffer;
    };
    const constant = ({ bytes, usage }: Constant): GPUBuffer => {
      const key = `${usage} ${String.fromCharCode(...bytes)}`;
      let buffer = this.constants.get(key);
      if (!buffer) {
        this.constants.set(key, buffer = this.make(bytes.length, usage | GPUBufferUsage.COPY_DST));
        this.backend.device.queue.writeBuffer(buffer, 0, bytes as AllowSharedBufferSource);
      }
      return buffer;
    };
    const bufferOf = (slot: Exclude<Slot, Given>): GPUBuffer => {
      if (slot.of === 'temporaries') return lent.get(slot.buffer) ?? temporary(slot.buffer);
      if (slot.of === 'constants') return constant(slot);
      const buffer = this.make(slot.drawn(0).byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
      drawn.set(buffer, slot.drawn);
      return buffer;
    };
    return { bufferOf, drawn };
  }

  dispose(): void {
    this.buffers.forEach((buffer) => this.backend.bufferManager.releaseBuffer(buffer));
    this.buffers.length = 0;
    this.temporaries.clear();
    this.constants.clear();
  }
}

/** A result that a graph makes, or one that it was given. */
interface Result extends Given {
  readonly shape: readonly number[];
}

/** Dispatches, and the bind group that each had at its last run. */
class Graph {
  private readonly steps: {
    readonly dispatch: Dispatch<GPUBuffer | Given>;
    readonly layout: GPUBindGroupLayout;
    readonly moving: readonly Given[];
    last: readonly GPUBuffer[];
    group: GPUBindGroup | undefined;
  }[];

  private readonly used: readonly Given[];

  constructor(
    private readonly backend: WebgpuBackend, dispatches: readonly Dispatch<GPUBuffer | Given>[],
    private readonly sources: readonly Source[], private readonly drawn: ReadonlyMap<GPUBuffer, Drawn>,
    /** Of the tensors that it makes to give. */
    private readonly shapes: readonly (readonly number[])[], private readonly results: readonly Result[],
  ) {
    this.steps = dispatches.map((dispatch) => ({
      dispatch, layout: dispatch.pipeline.getBindGroupLayout(0), last: [], group: undefined,
      moving: dispatch.bindings.filter((binding): binding is Given => 'of' in binding),
    }));
    const used = this.steps.flatMap(({ moving }) => moving);
    this.used = [...new Map(used.map((given) => [`${given.of} ${given.index}`, given])).values()];
  }

  run(args: readonly Tensor[], seed: number): Tensor[] {
    const { backend } = this;
    const { device } = backend;
    const outputs = this.shapes.map((shape) => backend.makeTensorInfo(shape, 'float32'));
    const tensors = { args, sources: this.sources.map((source) => source(seed)), outputs };
    const buffers: Record<Given['of'], GPUBuffer[]> = { args: [], sources: [], outputs: [] };
    for (const { of, index } of this.used) {
      const { dataId } = tensors[of][index] as TensorInfo;
      backend.uploadToGPU(dataId);
      backend.commandQueueOwnedIds.add(dataId);
      buffers[of][index] = backend.tensorMap.get(dataId).resource!;
    }
    // The last run, which had others, is on its way already: see the end.
    this.drawn.forEach((drawn, buffer) => device.queue.writeBuffer(buffer, 0, drawn(seed)));
    backend.ensureCommandEncoderReady();
    for (const step of this.steps) {
      const { dispatch: { pipeline, bindings, groups }, layout, moving, last } = step;
      if (!step.group || moving.some(({ of, index }, i) => buffers[of][index] !== last[i])) {
        step.last = moving.map(({ of, index }) => buffers[of][index]!);
        step.group = device.createBindGroup({
          layout,
          entries: bindings.map((binding, i) => (
            { binding: i, resource: { buffer: 'of' in binding ? buffers[binding.of][binding.index]! : binding } })),
        });
      }
      backend.clock?.begin(pipeline.label);
      const pass = (backend.computePassEncoder ??= backend.commandEncoder!.beginComputePass());
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, step.group);
      pass.dispatchWorkgroups(...groups);
      if (backend.clock) backend.endComputePassEncoder();
    }
    backend.endComputePassEncoder();
    backend.submitQueue();
    const made = outputs.map((output) => tf.engine().makeTensorFromTensorInfo(output));
    // A tensor of its own for each: whoever is given two may dispose both.
    return this.results.map(({ of, index, shape }) =>
      (of === 'outputs' ? made[index]! : tensors[of][index] as Tensor).reshape([...shape]));
  }
}
