import { webgpuBackend } from './device.ts';
import type { WebgpuBackend } from './device.ts';

/** How often a kernel ran, and for how long in all. */
export interface KernelTime {
  readonly runs: number;
  readonly seconds: number;
}

/** Timestamps of a query set: the most that WebGPU allows. */
const QUERIES = 4096;

/**
 * What each kernel takes on the device, by timestamp queries: every dispatch, ours and TensorFlow.js's, gets a compute
 * pass of its own while the clock runs. Only where the adapter offers `timestamp-query`.
 */
export class KernelClock {
  private readonly backend: WebgpuBackend = webgpuBackend();
  private readonly sets: GPUQuerySet[] = [];
  private readonly names: string[] = [];

  /** Whether this device tells times. */
  static get isOffered(): boolean {
    return webgpuBackend().device.features.has('timestamp-query');
  }

  constructor() {
    const { backend } = this;
    const record = backend.recordAndSubmit.bind(backend);
    backend.recordAndSubmit = (program, ...others) => {
      this.begin(program.constructor.name);
      record(program, ...others);
      backend.endComputePassEncoder();
    };
    backend.clock = this;
  }

  /** The pass of the next dispatch alone; whoever dispatches ends it. */
  begin(name: string): void {
    const { backend, sets, names } = this;
    const first = 2 * names.length % QUERIES;
    if (first === 0) sets.push(backend.device.createQuerySet({ type: 'timestamp', count: QUERIES }));
    names.push(name);
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.computePassEncoder = backend.commandEncoder!.beginComputePass({
      timestampWrites: { querySet: sets.at(-1)!, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 },
    });
  }

  /** Stops the clock, and tells what ran while it went, by name; waits for the device. */
  async stop(): Promise<Map<string, KernelTime>> {
    const { backend, sets, names } = this;
    delete (backend as Partial<WebgpuBackend>).recordAndSubmit; // the prototype's again
    backend.clock = undefined;
    const bytes = 8 * QUERIES;
    const [resolved, readable] = [
      GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
    ].map((usage) => backend.device.createBuffer({ size: bytes * Math.max(1, sets.length), usage })) as
      [GPUBuffer, GPUBuffer];
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    sets.forEach((set, i) => backend.commandEncoder!.resolveQuerySet(set, 0, QUERIES, resolved, i * bytes));
    backend.commandEncoder!.copyBufferToBuffer(resolved, 0, readable, 0, readable.size);
    backend.submitQueue();
    await readable.mapAsync(GPUMapMode.READ);
    const stamps = new BigUint64Array(readable.getMappedRange());
    const times = new Map<string, KernelTime>();
    names.forEach((name, i) => {
      const { runs, seconds } = times.get(name) ?? { runs: 0, seconds: 0 };
      // A device may quantise its clock, or set it back: what took no time is not less than nothing.
      const took = Math.max(0, Number(stamps[2 * i + 1]! - stamps[2 * i]!)) / 1e9;
      times.set(name, { runs: runs + 1, seconds: seconds + took });
    });
    [resolved, readable, ...sets].forEach((held) => held.destroy());
    return times;
  }
}
