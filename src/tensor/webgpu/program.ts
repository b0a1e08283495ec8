import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import { asksSubgroupSize, webgpuBackend } from './device.ts';
import { reduction } from './reduce.ts';
import type { Reduction } from './reduce.ts';

/** One run of a compute shader. Its bindings are, in order: what it writes, changes and reads, and its numbers. */
export interface Program {
  /** Tells shaders apart: all that the code is made from is part of it. */
  readonly key: string;
  /**
   * The body of `fn main`, and functions before it. It has the names of `write`, `change` and `read` as storage,
   * `p.name` for each number, and `index: u32`, that of the invocation, of which there may be more than were asked for;
   * or, where `workgroups` are asked for, `group: u32` and `local: u32`, the workgroup and the place in it.
   */
  readonly code: () => { readonly before?: string; readonly main: string };
  /** Shapes of the float32 tensors that it makes. */
  readonly write: Readonly<Record<string, readonly number[]>>;
  /** Tensors that it changes in place. */
  readonly change?: Readonly<Record<string, Tensor>>;
  readonly read: Readonly<Record<string, Tensor>>;
  /** WGSL's type of an element where it is none of the tensor's own: `u32`, `vec4f`. */
  readonly types?: Readonly<Record<string, string>>;
  /** Whole numbers, u32 in the shader, and others, f32. */
  readonly integers: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
  /** More whole numbers, that follow from the seed of a pass. */
  readonly drawn?: { readonly seed: number; readonly integers: (seed: number) => Readonly<Record<string, number>> };
  /** Whether its code has float16, which the device then has to offer. */
  readonly half?: boolean;
  /**
   * If it multiplies by matrix units, likewise, the invocations of a subgroup. It then has `subgroup: u32`, of its
   * workgroup's subgroups.
   */
  readonly lanes?: number;
  readonly invocations?: number;
  /**
   * In place of `invocations`, for those that work together. There may be more groups than were asked for. Those that
   * reduce have `sumOfAll` and `maxOfAll`: see `Reduction`.
   */
  readonly workgroups?: { readonly count: number; readonly size: number; readonly reduce?: boolean };
}

/** WGSL that is written out so many times: what an index picks has to be in a register. */
export const each = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

const GROUP = 64;
const pipelines = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>();

/** Runs it in the backend's own queue and on its buffers, as TensorFlow.js's programs run. */
export function runProgram(program: Program): Tensor[] {
  const backend = webgpuBackend();
  const { device } = backend;
  const { change = {}, read } = program;
  const outputs: TensorInfo[] = Object.values(program.write).map((shape) => backend.makeTensorInfo(shape, 'float32'));
  const bound = [...outputs, ...Object.values(change), ...Object.values(read)];
  for (const { dataId } of bound) backend.uploadToGPU(dataId);
  for (const { dataId } of Object.values(change)) backend.tensorMap.get(dataId).values = null; // if it has been read
  const numbers = numbersOf(program, program.drawn?.seed);
  const uniforms = backend.bufferManager.acquireBuffer(
    numbers.byteLength, GPUBufferUsage.COPY_DST | GPUBufferUsage.UNIFORM);
  device.queue.writeBuffer(uniforms, 0, numbers);
  backend.uniformPendingDisposal.push(uniforms);
  if (program.drawn) backend.recording?.draws(uniforms, (seed) => numbersOf(program, seed));

  const reduce = program.workgroups?.reduce ? reduction(program.workgroups.size) : undefined;
  const pipeline = pipelineOf(device, program, reduce);
  const buffers = [...bound.map(({ dataId }) => backend.tensorMap.get(dataId).resource!), uniforms];
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  for (const { dataId } of bound) backend.commandQueueOwnedIds.add(dataId);
  backend.ensureCommandEncoderReady();
  backend.clock?.begin(program.key);
  const pass = (backend.computePassEncoder ??= backend.commandEncoder!.beginComputePass());
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  const groups = program.workgroups?.count ?? Math.ceil(program.invocations! / GROUP);
  const down = Math.ceil(groups / ACROSS);
  pass.dispatchWorkgroups(Math.ceil(groups / down), down);
  if (backend.clock) backend.endComputePassEncoder();
  if (++backend.dispatchCountInPass >= tf.env().getNumber('WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE')) {
    backend.endComputePassEncoder();
    backend.submitQueue();
  }
  return outputs.map((output) => tf.engine().makeTensorFromTensorInfo(output));
}

/** Workgroups of one row of them: every device takes as many. */
const ACROSS = 32768;

function numbersOf({ integers, floats = {}, drawn }: Program, seed = 0): ArrayBuffer {
  const whole = [...Object.values(integers), ...Object.values(drawn?.integers(seed) ?? {})];
  const others = Object.values(floats);
  const buffer = new ArrayBuffer(Math.ceil((whole.length + others.length) / 4) * 16);
  new Uint32Array(buffer).set(whole);
  new Float32Array(buffer, 4 * whole.length).set(others);
  return buffer;
}

function pipelineOf(device: GPUDevice, program: Program, reduce: Reduction | undefined): GPUComputePipeline {
  const known = pipelines.get(device) ?? new Map<string, GPUComputePipeline>();
  pipelines.set(device, known);
  const key = reduce ? `${program.key} ${reduce.key}` : program.key;
  let pipeline = known.get(key);
  if (!pipeline) {
    const module = device.createShaderModule({ label: key, code: shaderOf(program, reduce, asksSubgroupSize(device)) });
    pipeline = device.createComputePipeline({ label: key, layout: 'auto', compute: { module, entryPoint: 'start' } });
    known.set(key, pipeline);
  }
  return pipeline;
}

function shaderOf(
  { code, write, change = {}, read, types = {}, integers, floats = {}, drawn, half, lanes, workgroups }: Program,
  reduce: Reduction | undefined, asksSize: boolean,
): string {
  const { before = '', main } = code();
  const own = (name: string) => ((read[name] ?? change[name])?.dtype === 'int32' ? 'i32' : 'f32');
  const changed = [...Object.keys(write), ...Object.keys(change)];
  const storage = [...changed, ...Object.keys(read)].map((name, binding) =>
    `@group(0) @binding(${binding}) var<storage, ${changed.includes(name) ? 'read_write' : 'read'}> ${name}: `
    + `array<${types[name] ?? own(name)}>;`);
  const fields = [
    ...Object.keys({ ...integers, ...drawn?.integers(0) }).map((name) => `${name}: u32`),
    ...Object.keys(floats).map((name) => `${name}: f32`),
  ];
  const subgroups = reduce?.bySubgroups;
  return `${half ? 'enable f16;' : ''}${subgroups || lanes ? 'enable subgroups;' : ''}
${lanes && asksSize ? 'enable subgroup_size_control;' : ''}
${lanes ? `enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity); // which subgroup it is, is the same for all of a subgroup` : ''}
struct Numbers { ${fields.join(', ')} }
${storage.join('\n')}
@group(0) @binding(${storage.length}) var<uniform> p: Numbers;
${subgroups ? 'var<private> lane: u32;\nvar<private> lanes: u32;' : ''}
${reduce?.code ?? ''}
${before}
fn main(${workgroups ? 'group: u32, local: u32' : 'index: u32'}${lanes ? ', subgroup: u32' : ''}) {
${main}
}
@compute @workgroup_size(${workgroups?.size ?? GROUP}) ${lanes && asksSize ? `@subgroup_size(${lanes})` : ''}
fn start(
  @builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) count: vec3u, @builtin(local_invocation_index) local: u32,
  ${subgroups ? '@builtin(subgroup_invocation_id) place: u32, @builtin(subgroup_size) size: u32,' : ''}
  ${lanes ? '@builtin(subgroup_id) subgroup: u32,' : ''}
) {
  ${subgroups ? 'lane = place; lanes = size;' : ''}
  let group = id.y * count.x + id.x;
  main(${workgroups ? 'group, local' : `group * ${GROUP} + local`}${lanes ? ', subgroup' : ''});
}`;
}
