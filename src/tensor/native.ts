import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import { sizeOf } from '../shape.ts';

/** TensorFlow's numbers for its types (`tensorflow/core/framework/types.proto`). */
export const types = { float32: 1, int32: 3, uint8: 4, bool: 10, bfloat16: 14 } as const;

/** An attribute of an operation. `type` is one of the binding's constants `TF_ATTR_…`. */
export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | boolean | string | readonly number[];
}

export interface TensorMetadata {
  readonly id: number;
  readonly dtype: number;
  readonly shape: number[];
}

/** The C++ side of tfjs-node, as much as we need. */
export interface Binding {
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  createTensor(shape: readonly number[], dtype: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  executeOp(op: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): TensorMetadata[];
  loadSavedModel(folder: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputs: readonly number[], inputNames: string, outputNames: string): TensorMetadata[];
}

/** What tfjs-node keeps of a tensor: `values` until TensorFlow has taken them, from then on its `id` there. */
export interface Held {
  readonly shape: number[];
  readonly dtype: number;
  readonly values: ArrayBufferView | null;
  readonly id: number;
  readonly refCount: number;
}

/** The insides of tfjs-node's backend: all its kernels end in one of the two `execute…`. */
export interface NodeBackend {
  readonly binding: Binding;
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: { get(dataId: object): Held; set(dataId: object, held: Held): void };
  executeSingleOutput: (op: string, attributes: readonly Attribute[], inputs: readonly TensorInfo[]) => Tensor;
  executeMultipleOutputs: (
    op: string, attributes: readonly Attribute[], inputs: readonly TensorInfo[], outputs: number,
  ) => Tensor[];
  getInputTensorIds: (inputs: readonly TensorInfo[]) => number[];
  createOutputTensor: (metadata: TensorMetadata) => Tensor;
  readSync: (dataId: object) => ArrayBufferView;
}

/** Whether native TensorFlow, which must be the current backend, computes on a GPU. */
export function onGpu(): boolean {
  return (tf.backend() as unknown as NodeBackend).isUsingGpuDevice;
}

/** The backend of native TensorFlow, which must be the current one; it is taught that there is a bfloat16. */
export function nodeBackend(): NodeBackend {
  const backend = tf.backend() as unknown as NodeBackend;
  if (!Object.hasOwn(backend, 'createOutputTensor')) {
    const original = backend.createOutputTensor.bind(backend);
    backend.createOutputTensor = (metadata) => (metadata.dtype === types.bfloat16
      ? heldTensor(backend, metadata.dtype, metadata.shape, metadata.id)
      : original(metadata));
  }
  return backend;
}

/**
 * A tensor for something that TensorFlow holds already. One of bfloat16 passes for float32 in TensorFlow.js, which
 * has no such type; only `toBfloat16` makes them, and only the products here may take them.
 */
export function heldTensor(backend: NodeBackend, dtype: number, shape: number[], id: number): Tensor {
  const dataId = {};
  backend.tensorMap.set(dataId, { shape, dtype, values: null, id, refCount: 1 });
  const name = dtype === types.int32 ? 'int32' : [types.bool, types.uint8].some((each) => each === dtype) ? 'bool' : 'float32';
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape, dtype: name });
}

/** Attributes of an operation: a type by its name, a flag by a boolean, an integer, a number with a fraction. */
type Attributes = Readonly<Record<string, keyof typeof types | boolean | number | { readonly float: number }>>;

/** Runs one of TensorFlow's own operations, or of ours (native/*.cc), that has one output. */
export function execute(op: string, attributes: Attributes, inputs: readonly TensorInfo[]): Tensor {
  return nodeBackend().executeSingleOutput(op, listed(attributes), inputs);
}

/** The same with several outputs. */
export function executeAll(
  op: string, attributes: Attributes, inputs: readonly TensorInfo[], outputs: number,
): Tensor[] {
  return nodeBackend().executeMultipleOutputs(op, listed(attributes), inputs, outputs);
}

function listed(attributes: Attributes): Attribute[] {
  const { TF_ATTR_BOOL, TF_ATTR_FLOAT, TF_ATTR_INT, TF_ATTR_TYPE } = nodeBackend().binding;
  return Object.entries(attributes).map(([name, value]) => {
    if (typeof value === 'boolean') return { name, type: TF_ATTR_BOOL, value };
    if (typeof value === 'number') return { name, type: TF_ATTR_INT, value };
    if (typeof value === 'object') return { name, type: TF_ATTR_FLOAT, value: value.float };
    return { name, type: TF_ATTR_TYPE, value: types[value] };
  });
}

const known = new Map<string, boolean>();

/**
 * Whether the binding has operations of ours, which are for the processor: one set up `--from google`, or before there
 * were such, has none.
 */
export function hasOurs(): boolean {
  return runs('Swiglu');
}

/** Whether it has those for a processor that multiplies bfloat16 by tiles (native/product.cc), and this is one. */
export function hasTiles(): boolean {
  return runs('DenseProduct');
}

/** Tries an operation on two numbers, past the backend: a graph that is being recorded would take it for a step. */
function runs(op: string): boolean {
  const before = known.get(op);
  if (before !== undefined) return before;
  const { binding } = nodeBackend();
  const one = binding.createTensor([1, 1], types.float32, Float32Array.of(1));
  let works = true;
  try {
    binding.executeOp(op, [], [one, one], 1).forEach(({ id }) => binding.deleteTensor(id));
  } catch {
    works = false;
  }
  binding.deleteTensor(one);
  known.set(op, works);
  return works;
}

// Some of them, for tensors of any of these types: TensorFlow.js's own take its own types alone.

/** The same numbers in another type: (…) → (…). */
export function cast(x: Tensor, from: keyof typeof types, to: keyof typeof types): Tensor {
  return execute('Cast', { SrcT: from, DstT: to, Truncate: false }, [x]);
}

/** (…) → `shape`. */
export function reshape(x: Tensor, dtype: keyof typeof types, shape: readonly number[]): Tensor {
  return execute('Reshape', { T: dtype, Tshape: 'int32' }, [x, int32(shape)]);
}

/** `size` elements of each dimension from `begin` on; all that there are for −1: (…) → `size`. */
export function slice(x: Tensor, dtype: keyof typeof types, begin: readonly number[], size: readonly number[]): Tensor {
  return execute('Slice', { T: dtype, Index: 'int32' }, [x, int32(begin), int32(size)]);
}

/** Rows of a table by index: (rows, …), int32 (n) → (n, …). */
export function gather(table: Tensor, dtype: keyof typeof types, ids: Tensor): Tensor {
  const attributes = { Tparams: dtype, Tindices: 'int32', Taxis: 'int32' } as const;
  return execute('GatherV2', attributes, [table, ids, tf.scalar(0, 'int32')]);
}

const int32 = (values: readonly number[]) => tf.tensor1d([...values], 'int32');

/** Memory that values are written to on their way to TensorFlow; as large as the largest tensor so far. */
let passage = new ArrayBuffer(0);

/**
 * A tensor of the values that `write` puts into what it is given, float32 or int32. TensorFlow takes them at once, and
 * the same memory serves the next: an array for each would be garbage that V8 sees late, and collects in vain.
 */
export function passed<T extends 'float32' | 'int32'>(
  shape: readonly number[], dtype: T, write: (values: T extends 'int32' ? Int32Array : Float32Array) => void,
): Tensor {
  const size = sizeOf(shape);
  if (passage.byteLength < 4 * size + UNALIGNED) passage = new ArrayBuffer(4 * size + UNALIGNED);
  const values = new (dtype === 'int32' ? Int32Array : Float32Array)(passage, UNALIGNED, size);
  write(values as Parameters<typeof write>[0]);
  return copied(values, shape, dtype);
}

/** TensorFlow shares memory that is aligned for its vectors, and copies what begins so many bytes further on. */
export const UNALIGNED = 4;

/** A tensor of values that will be written over, and that begin `UNALIGNED`: TensorFlow copies them at once. */
export function copied(values: Float32Array | Int32Array, shape: readonly number[], dtype: 'float32' | 'int32'): Tensor {
  const tensor = tf.tensor(values, [...shape], dtype);
  nodeBackend().getInputTensorIds([tensor]);
  return tensor;
}
