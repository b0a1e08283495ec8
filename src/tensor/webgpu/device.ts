import * as tf from '@tensorflow/tfjs';
import type { TensorInfo } from '@tensorflow/tfjs';
import { Buffers } from './buffers.ts';
import { Faults } from './faults.ts';

/**
 * What a GPU multiplies small matrices by: tensor cores and their like. A subgroup of `lanes` invocations, all at once,
 * makes (m, n) numbers of float32 from (m, k) and (k, n) of `element`.
 */
export interface MatrixUnit {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly element: 'f16' | 'f32';
  readonly lanes: number;
}

/** What is told of an adapter. */
export interface Adapter {
  /** As its driver calls it. */
  readonly name: string;
  /** In lower case: nvidia, amd, intel, apple, google (SwiftShader), mesa (lavapipe)… */
  readonly vendor: string;
  readonly architecture: string;
  /** Computed by the processor: for tests, not for speed. */
  readonly software: boolean;
  /** Of those that kernels may use: shader-f16, subgroups and their sizes, timestamp-query, subgroup matrices. */
  readonly features: readonly string[];
  /** Those of its matrix units that sum in float32, the largest first. */
  readonly units: readonly MatrixUnit[];
  /** Most bytes of a tensor. */
  readonly bindingBytes: number;
}

interface Held {
  values: tf.TypedArray | null;
  readonly dtype: tf.DataType;
  readonly shape: readonly number[];
  readonly resource?: GPUBuffer;
}

/** The uniforms that a kernel has for the pass of a seed. */
export type Drawn = (seed: number) => ArrayBuffer;

/** What we need of the insides of TensorFlow.js's WebGPU backend, as its own kernels use them. */
export interface WebgpuBackend {
  readonly device: GPUDevice;
  bufferManager: Buffers;
  readonly tensorMap: { get(dataId: object): Held };
  commandEncoder: GPUCommandEncoder | null;
  computePassEncoder: GPUComputePassEncoder | null;
  readonly commandQueueOwnedIds: WeakSet<object>;
  dispatchCountInPass: number;
  readonly uniformPendingDisposal: GPUBuffer[];
  /** Runs one of TensorFlow.js's own programs. */
  recordAndSubmit: (program: object, ...others: readonly unknown[]) => void;
  /** Ours: takes the time of every kernel, while there is one (see `KernelClock`). */
  clock: { begin(name: string): void } | undefined;
  /** Ours: who writes down what runs (see `WebgpuGraphs`), while anybody does. */
  recording: { draws(uniforms: GPUBuffer, drawn: Drawn): void } | undefined;
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType): TensorInfo;
  uploadToGPU(dataId: object): void;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  getBufferData(buffer: GPUBuffer): Promise<ArrayBuffer>;
  readSync(dataId: object): tf.BackendValues;
}

const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix';
/** By which a shader says how large its subgroups have to be. */
const SUBGROUP_SIZE = 'subgroup-size-control';
const usefulFeatures: readonly string[] = ['shader-f16', 'subgroups', 'timestamp-query', SUBGROUP_MATRIX, SUBGROUP_SIZE];

const limits = [
  'maxBufferSize', 'maxStorageBufferBindingSize', 'maxStorageBuffersPerShaderStage', 'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup', 'maxComputeWorkgroupSizeX', 'maxComputeWorkgroupSizeY', 'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
] as const;

let current: { adapter: Adapter; faults: Faults } | undefined;

/** The adapter that tensors are computed on; undefined where the WebGPU backend has not been started, or is lost. */
export function usedAdapter(): Adapter | undefined {
  return current?.faults.isLost ? undefined : current?.adapter;
}

let lowered = Infinity;

/** Most bytes that a kernel may be given of a tensor; no end where tensors are not on WebGPU. */
export function bindingBytes(): number {
  return tf.getBackend() === 'webgpu' ? Math.min(lowered, usedAdapter()?.bindingBytes ?? Infinity) : Infinity;
}

/** From now on a tensor has fewer bytes than the device would take, as on a smaller one. */
export function lowerBindingBytes(bytes: number): void {
  lowered = bytes;
}

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly told: Adapter;
}

/** What a system offers, and what is told of it; undefined where there is no adapter. */
export async function findAdapter(gpu: GPU): Promise<FoundAdapter | undefined> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const { info } = adapter;
  const { vendor, architecture, device, description } = info;
  const name = [device, description, architecture, vendor].find((text) => text) ?? 'sin nombre';
  return { adapter, told: {
    name, vendor: vendor.toLowerCase(), architecture: architecture.toLowerCase(),
    software: info.isFallbackAdapter
      || /swiftshader|llvmpipe|lavapipe|warp|basic render|software/i.test(`${name} ${architecture} ${description}`),
    features: usefulFeatures.filter((feature) => adapter.features.has(feature)),
    units: unitsOf(adapter),
    bindingBytes: adapter.limits.maxStorageBufferBindingSize,
  } };
}

/** What Dawn tells of a subgroup matrix, which the types of WebGPU do not have yet. */
interface SubgroupMatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** What products by matrix units take at most of a workgroup's memory. */
const UNITS_BYTES = 32 * 1024;

/** Where subgroups may have several sizes, the one that matrix units go by: RDNA's go by either. */
const lanesOf: Readonly<Record<string, number>> = { amd: 32 };

function unitsOf({ info, features, limits }: GPUAdapter): MatrixUnit[] {
  const { vendor, subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs: configs = [] } =
    info as GPUAdapterInfo & { readonly subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[] };
  const chosen = features.has(SUBGROUP_SIZE) ? lanesOf[vendor.toLowerCase()] : undefined;
  const lanes = subgroupMinSize === subgroupMaxSize ? subgroupMaxSize : chosen;
  // Of unknown size, it is not known either how many of them a workgroup has.
  if (!features.has(SUBGROUP_MATRIX) || !lanes || limits.maxComputeWorkgroupStorageSize < UNITS_BYTES) return [];
  return configs.flatMap(({ M: m, N: n, K: k, componentType: element, resultComponentType }) => {
    const serves = (element === 'f16' || element === 'f32') && resultComponentType === 'f32';
    return serves ? [{ m, n, k, element, lanes } as const] : [];
  }).sort((a, b) => b.m * b.n * b.k - a.m * a.n * a.k);
}

/** Whether a shader can say how large its subgroups have to be. */
export function asksSubgroupSize(device: GPUDevice): boolean {
  return device.features.has(SUBGROUP_SIZE);
}

/**
 * Registers TensorFlow.js's WebGPU backend on a device of this adapter, with all that the adapter offers: its limits,
 * and the features that our kernels may use.
 *
 * @param afterLoss Spanish: what to do when the device is lost
 */
export async function registerWebgpu(
  { adapter, told }: FoundAdapter,
  afterLoss = 'repite la orden con --resume y sigue desde el último punto guardado, o quédate con --backend wasm',
): Promise<WebgpuBackend> {
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  const device = await adapter.requestDevice({
    requiredFeatures: told.features as GPUFeatureName[],
    requiredLimits: Object.fromEntries(limits.map((name) => [name, adapter.limits[name]])),
  });
  const backend = new WebGPUBackend(device, adapter.info) as unknown as WebgpuBackend;
  const faults = new Faults(device, afterLoss);
  current = { adapter: told, faults };
  backend.bufferManager = new Buffers(device);
  const getBufferData = backend.getBufferData.bind(backend);
  backend.getBufferData = async (buffer) => {
    const bytes = await getBufferData(buffer).catch(() => faults.unreadable());
    faults.check();
    return bytes;
  };
  tf.removeBackend('webgpu'); // the package's own, on a device with fewer limits, where it has registered one
  tf.registerBackend('webgpu', () => backend as unknown as tf.KernelBackend);
  return backend;
}

/** The backend, which has to be WebGPU. */
export function webgpuBackend(): WebgpuBackend {
  return tf.backend() as unknown as WebgpuBackend;
}

/** @throws what `Faults.check` does */
export function checkDevice(): void {
  current!.faults.check();
}

export function unreadable(): never {
  return current!.faults.unreadable();
}
