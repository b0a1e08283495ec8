import { afterEach, beforeAll, expect } from 'vitest';
import { webgpuBackend } from '../../../src/tensor/webgpu/device.ts';

/** The group's binding where shaders count indices that are past an end. */
const BINDING = 100;
/** Shaders that can be told apart. */
const MOST = 4096;

/**
 * Of the tests of a suite, none may pass an end: Dawn does not look at indices (see `toggles`). To be called after the
 * `beforeAll` that chooses WebGPU.
 *
 * @returns the same as `watchBounds`
 */
export function stayWithinBounds(): () => Promise<string[]> {
  let pastEnds: () => Promise<string[]>;
  beforeAll(() => {
    pastEnds = watchBounds(webgpuBackend().device);
  });
  afterEach(async () => expect(await pastEnds(), 'read or write past an end').toEqual([]));
  return () => pastEnds();
}

/**
 * From now on shaders notice, on this device, every index that is past the end of what they are given: ours, and
 * TensorFlow.js's. Nothing else of them changes.
 *
 * @returns those that have met one since it was last asked
 */
function watchBounds(device: GPUDevice): () => Promise<string[]> {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const faults = device.createBuffer({ size: 4 * MOST, usage: STORAGE | COPY_SRC | COPY_DST });
  const names: string[] = [];
  const watched = new WeakSet<GPUBindGroupLayout>();
  const createShaderModule = device.createShaderModule.bind(device);
  const createComputePipeline = device.createComputePipeline.bind(device);
  const createBindGroup = device.createBindGroup.bind(device);
  device.createShaderModule = (descriptor) => {
    const module = createShaderModule({ ...descriptor, code: watching(descriptor.code, names.length) });
    if (names.push(descriptor.label ?? '') > MOST) throw new Error('too many shaders to tell apart');
    return module;
  };
  device.createComputePipeline = (descriptor) => {
    const pipeline = createComputePipeline(descriptor);
    const layout = pipeline.getBindGroupLayout(0);
    pipeline.getBindGroupLayout = () => layout;
    watched.add(layout);
    return pipeline;
  };
  const counter = { binding: BINDING, resource: { buffer: faults } };
  device.createBindGroup = (descriptor) => createBindGroup(
    watched.has(descriptor.layout) ? { ...descriptor, entries: [...descriptor.entries, counter] } : descriptor);

  return async () => {
    const read = device.createBuffer({ size: faults.size, usage: MAP_READ | COPY_DST });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(faults, 0, read, 0, faults.size);
    encoder.clearBuffer(faults);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const counts = new Uint32Array(read.getMappedRange());
    const found = names.filter((_, id) => counts[id]! > 0);
    read.destroy();
    return found;
  };
}

/**
 * The shader with a look at every index of what it is given. It ends with its entry point, which then says whether one
 * was past an end. What is past the end of a workgroup's memory would be a wrong value, and fail by that.
 */
function watching(code: string, id: number): string {
  const names = [...code.matchAll(/var<storage, \w+> (\w+) ?: array</g)].map(([, name]) => name!);
  const looks = names.map((name) => `
fn within_${name}(i: u32) -> u32 {
  pastEnd |= i >= arrayLength(&${name});
  return i;
}`);
  const start = looked(code, new Set(names)).replace(/\}\s*$/, '');
  return `${start}
  if (pastEnd) { atomicAdd(&faults[${id}], 1); }
}
var<private> pastEnd: bool;
@group(0) @binding(${BINDING}) var<storage, read_write> faults: array<atomic<u32>>;
${looks.join('')}`;
}

/** `name[index]` becomes `name[within_name(u32(index))]`, whatever is in the index as well. */
function looked(code: string, names: ReadonlySet<string>): string {
  const match = /(?<![\w.&])(\w+)\[/g;
  let result = '';
  let from = 0;
  for (let found = match.exec(code); found; found = match.exec(code)) {
    if (!names.has(found[1]!)) continue;
    const start = match.lastIndex;
    let end = start;
    for (let depth = 1; depth > 0; end++) depth += { '[': 1, ']': -1 }[code[end]!] ?? 0;
    result += `${code.slice(from, start)}within_${found[1]}(u32(${looked(code.slice(start, end - 1), names)}))]`;
    from = end;
    match.lastIndex = end;
  }
  return result + code.slice(from);
}
