import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs';
import type { Call, Graphs } from '../graph.ts';
import { heldTensor, nodeBackend, types } from '../native.ts';
import type { Attribute, Held, NodeBackend } from '../native.ts';
import { announcedTo } from '../outside.ts';
import type { Source } from '../outside.ts';
import { bytes, float, integer, integers } from '../protobuf.ts';
import type { Field } from '../protobuf.ts';

/** A function is run once while the operations that it ends in are written down; then it is a TensorFlow graph. */
export class NativeGraphs implements Graphs {
  /** By name, shapes and member: the graph that serves, or undefined for what cannot be one. */
  private readonly known = new Map<string, { graph: Graph; sources: readonly Source[] } | undefined>();
  /** By name and shapes. */
  private readonly loaded = new Map<string, Graph[]>();

  readonly problems = new Map<string, string>();

  run({ name, member, args, seed }: Call, f: () => Tensor[]): Tensor[] {
    const kind = [name, ...args.map(({ shape }) => shape.join('×'))].join(' ');
    const key = `${kind} ${member}`;
    if (!this.known.has(key)) {
      const graphs = this.loaded.get(kind) ?? [];
      const recorded = this.follow(graphs, args, f) ?? new Recording(args);
      const values = recorded.template ? undefined : recorded.during(f);
      if (recorded.problem === undefined) {
        const graph = recorded.template ?? recorded.graph(values!);
        if (!recorded.template) this.loaded.set(kind, [...graphs, graph]);
        this.known.set(key, { graph, sources: recorded.sources });
      } else {
        this.known.set(key, undefined);
        this.problems.set(name, recorded.problem);
      }
      if (values && recorded.problem !== undefined) return values;
      tf.dispose(values ?? []); // the graph's own: a run that is resumed, and records anew, is the same to the last bit
    }
    const found = this.known.get(key);
    return found
      ? tf.tidy(() => found.graph.run([...args, ...found.sources.map((source) => source(seed))]))
      : tf.tidy(f);
  }

  /** Another member's graph, if `f` takes the very same steps. */
  private follow(graphs: readonly Graph[], args: readonly Tensor[], f: () => Tensor[]): Recording | undefined {
    for (const graph of graphs) {
      const following = new Recording(args, graph);
      try {
        const values = following.during(f);
        const same = following.isTemplate(values);
        tf.dispose(values);
        if (same) return following;
      } catch (error) {
        if (!(error instanceof OtherSteps)) throw error;
      }
    }
    return undefined;
  }

  dispose(): void {
    this.loaded.forEach((graphs) => graphs.forEach((graph) => graph.dispose()));
    this.loaded.clear();
    this.known.clear();
  }
}

/** The function that is being followed does not do what the graph does. */
class OtherSteps extends Error {}

interface Step {
  readonly op: string;
  readonly outputs: readonly Pick<Held, 'shape' | 'dtype'>[];
}

/** A function's operations as the nodes of a graph. With a template nothing is computed: its steps are followed. */
class Recording {
  readonly sources: Source[] = [];
  /** Why it cannot be a graph. */
  problem: string | undefined;
  private readonly backend: NodeBackend = nodeBackend();
  private readonly nodes: Field[] = [];
  private readonly steps: Step[] = [];
  private readonly names = new Map<object, string>(); // by the identity of a tensor's data
  private readonly inputs: string[] = [];

  constructor(args: readonly Tensor[], readonly template?: Graph) {
    args.forEach((arg) => this.placeholder(arg));
  }

  /** Calls `f` with an ear to the backend. */
  during(f: () => Tensor[]): Tensor[] {
    const { backend } = this;
    const { executeSingleOutput, executeMultipleOutputs, readSync } = backend;
    backend.executeSingleOutput = (op, attributes, inputs) =>
      this.operation(op, attributes, inputs, () => [executeSingleOutput.call(backend, op, attributes, inputs)])[0]!;
    backend.executeMultipleOutputs = (op, attributes, inputs, outputs) => this.operation(
      op, attributes, inputs, () => executeMultipleOutputs.call(backend, op, attributes, inputs, outputs));
    backend.readSync = (dataId) => {
      if (this.template) throw new OtherSteps();
      this.problem ??= 'it reads values';
      return readSync.call(backend, dataId);
    };
    try {
      return announcedTo(this, () => tf.tidy(f));
    } finally {
      Object.assign(backend, { executeSingleOutput, executeMultipleOutputs, readSync });
    }
  }

  take(tensor: Tensor, source: Source): void {
    if (this.names.has(tensor.dataId)) return; // the same weight once more
    this.placeholder(tensor);
    this.sources.push(source);
  }

  private placeholder({ dataId, shape }: Tensor): void {
    const { dtype } = this.backend.tensorMap.get(dataId);
    const name = `in${this.inputs.length}`;
    this.inputs.push(`${name}:0`);
    this.nodes.push(node(name, 'Placeholder', [], { dtype: typeOf(dtype), shape: bytes(7, shapeOf(shape)) }));
    this.names.set(dataId, name);
  }

  private operation(
    op: string, attributes: readonly Attribute[], inputs: readonly TensorInfo[], execute: () => Tensor[],
  ): Tensor[] {
    const names = inputs.map((input) => this.nameOf(input)); // before TensorFlow takes their values
    const outputs = this.template ? this.imagined(this.template.steps[this.steps.length], op) : execute();
    const name = `n${this.nodes.length}`;
    this.nodes.push(node(name, op, names, Object.fromEntries(attributes.map(
      (attribute) => [attribute.name, this.coded(attribute)]))));
    outputs.forEach(({ dataId }, i) => this.names.set(dataId, i === 0 ? name : `${name}:${i}`));
    const held = outputs.map(({ dataId }) => this.backend.tensorMap.get(dataId));
    this.steps.push({ op, outputs: held.map(({ shape, dtype }) => ({ shape, dtype })) });
    return outputs;
  }

  /** What a followed operation would give: tensors of its shapes, with nothing in them. */
  private imagined(step: Step | undefined, op: string): Tensor[] {
    if (step?.op !== op) throw new OtherSteps();
    return step.outputs.map(({ shape, dtype }) => heldTensor(this.backend, dtype, shape, NOWHERE));
  }

  /** The node that an input comes from; what the function itself writes down becomes a constant. */
  private nameOf({ dataId, shape }: TensorInfo): string {
    const known = this.names.get(dataId);
    if (known !== undefined) return known;
    const { dtype, values } = this.backend.tensorMap.get(dataId);
    const name = `c${this.nodes.length}`;
    this.names.set(dataId, name);
    if (!values) {
      this.problem ??= `a tensor of shape [${shape.join(', ')}] comes from outside unannounced`;
    } else if (dtype === types.float32 && shape.length > 0) {
      // A factor is part of the program; a row of numbers is data, and may be others the next time.
      this.problem ??= `numbers of shape [${shape.join(', ')}] are written into it`;
    } else {
      const content = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      this.nodes.push(node(name, 'Const', [], {
        dtype: typeOf(dtype), value: bytes(8, [integer(1, dtype), bytes(2, shapeOf(shape)), bytes(4, content)]),
      }));
    }
    return name;
  }

  private coded({ name, type, value }: Attribute): Field {
    const { TF_ATTR_TYPE, TF_ATTR_BOOL, TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_STRING } = this.backend.binding;
    if (type === TF_ATTR_TYPE) return typeOf(value as number);
    if (type === TF_ATTR_BOOL) return integer(5, Number(value));
    if (type === TF_ATTR_FLOAT) return float(4, value as number);
    if (type === TF_ATTR_STRING) return bytes(2, value as string);
    if (type === TF_ATTR_INT) {
      return Array.isArray(value) ? bytes(1, [integers(3, value as number[])]) : integer(3, value as number);
    }
    this.problem ??= `the attribute ${name} is of a type that no graph of ours has`;
    return integer(3, 0);
  }

  private finished(results: readonly Tensor[]): { nodes: Buffer; outputs: string[] } {
    const outputs = results.map((result, i) => {
      const { dtype } = this.backend.tensorMap.get(result.dataId);
      this.nodes.push(node(`out${i}`, 'Identity', [this.nameOf(result)], { T: typeOf(dtype) }));
      return `out${i}:0`;
    });
    return { nodes: Buffer.concat(this.nodes.map((node) => bytes(1, node))), outputs };
  }

  graph(results: readonly Tensor[]): Graph {
    const { nodes, outputs } = this.finished(results);
    return new Graph(this.backend, nodes, this.steps, this.inputs.join(','), outputs.join(','));
  }

  isTemplate(results: readonly Tensor[]): boolean {
    return this.finished(results).nodes.equals(this.template!.nodes);
  }
}

/** The id that TensorFlow gives to no tensor. */
const NOWHERE = -1;

/** A graph that TensorFlow has loaded. */
class Graph {
  private readonly id: number;

  constructor(
    private readonly backend: NodeBackend, readonly nodes: Buffer, readonly steps: readonly Step[],
    private readonly inputs: string, private readonly outputs: string,
  ) {
    // tfjs-node has one door for graphs: a SavedModel, which is a file.
    const folder = mkdtempSync(join(tmpdir(), 'graph-'));
    try {
      const graph = [nodes, bytes(4, [integer(1, PRODUCER)])];
      const model = [integer(1, 1), bytes(2, [bytes(1, [bytes(4, 'serve')]), bytes(2, graph)])];
      writeFileSync(join(folder, 'saved_model.pb'), Buffer.concat(model));
      this.id = backend.binding.loadSavedModel(folder, 'serve,');
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  run(inputs: readonly Tensor[]): Tensor[] {
    const { backend } = this;
    return backend.binding.runSavedModel(this.id, backend.getInputTensorIds(inputs), this.inputs, this.outputs)
      .map((metadata) => backend.createOutputTensor(metadata));
  }

  dispose(): void {
    this.backend.binding.deleteSavedModel(this.id);
  }
}

/** The version of GraphDef that the nodes are written in: that of TensorFlow 2.9, which all later ones read. */
const PRODUCER = 1087;

// The messages of tensorflow/core/framework: NodeDef, AttrValue and TensorShapeProto.

function node(name: string, op: string, inputs: readonly string[], attributes: Readonly<Record<string, Field>>): Field {
  return Buffer.concat([
    bytes(1, name), bytes(2, op), ...inputs.map((input) => bytes(3, input)),
    ...Object.entries(attributes).map(([key, value]) => bytes(5, [bytes(1, key), bytes(2, value)])),
  ]);
}

function typeOf(dtype: number): Field {
  return integer(6, dtype);
}

function shapeOf(shape: readonly number[]): Field {
  return Buffer.concat(shape.map((length) => bytes(2, [integer(1, length)])));
}
