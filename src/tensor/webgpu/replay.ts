import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { Source } from '../outside.ts';
import { webgpuBackend } from './device.ts';
import type { Drawn, WebgpuBackend } from './device.ts';

/** A tensor that a graph is given at each run, or gives. */
export interface Given {
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

export type Slot = Given | Constant | DrawnSlot | Temporary;

export interface Dispatch<Binding> {
  readonly pipeline: GPUComputePipeline;
  readonly bindings: readonly Binding[];
  readonly groups: readonly [x: number, y?: number, z?: number];
}

/** Buffers that graphs own. They run one after another, and have what is made on the way in the same ones. */
export class Store {
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
export interface Result extends Given {
  readonly shape: readonly number[];
}

/** Dispatches, and the bind group that each had at its last run. */
export class Graph {
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
