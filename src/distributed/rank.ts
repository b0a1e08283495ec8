import { parentPort, workerData } from 'node:worker_threads';
import * as tf from '@tensorflow/tfjs';
import { makeBatch } from '../data/batches.ts';
import type { Batch, Example } from '../data/batches.ts';
import { UserError } from '../errors.ts';
import { isLinear, weightShapes } from '../model/config.ts';
import { LlamaModel } from '../model/llama.ts';
import { openModel } from '../model/load.ts';
import { DenseWeight, Parameter, QuantizedWeight } from '../model/weights.ts';
import type { Weight } from '../model/weights.ts';
import { addLora } from '../peft/lora.ts';
import type { Trainable } from '../peft/trainable.ts';
import { byteLength, dequantize, quantize } from '../quant/quantize.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { useBackend } from '../tensor/backend.ts';
import type { BackendName } from '../tensor/backend.ts';
import { TensorMemory } from '../tensor/memory.ts';
import { clipScale } from '../train/adamw.ts';
import { hostMemory } from '../train/pager.ts';
import { newModel } from '../train/pretrain.ts';
import { Group } from './collectives.ts';
import { runPipeline, schedules } from './pipeline.ts';
import { dataParallel, placeOf, rangeOf } from './job.ts';
import type { Job, RankMessage, RankReport, Span } from './job.ts';
import { owns, root, unitOf, withStages } from './stages.ts';
import type { Stage } from './stages.ts';
import { stages } from './planner.ts';
import { isSplit, splitConfig, splitWeight, TensorParallel } from './tensor-parallel.ts';
import { SharedWeight, Zero } from './zero.ts';

/** What a rank is started with. */
export interface RankData {
  readonly memory: SharedArrayBuffer;
  readonly ranks: number;
  readonly rank: number;
  readonly backend: BackendName;
}

// The program of a rank: a thread with its own memory and its own TensorFlow.js, which does one job after another.

const { memory, ranks, rank, backend } = workerData as RankData;
const tell = (message: RankMessage) => parentPort!.postMessage(message);
await useBackend(backend);
parentPort!.on('message', (job: Job) => {
  try {
    tell({ type: 'done', report: train(job) });
  } catch (error) {
    tell({ type: 'failed', reason: error instanceof UserError ? error.message : String(error) });
  }
});
tell({ type: 'ready' });

/** The ranks that this one does something with. */
interface Groups {
  readonly world: Group;
  /** Those with the same part of the model, and other examples. */
  readonly data: Group;
  /** Those with other parts of the same layers. */
  readonly tensor: Group;
  /** Those with other layers, in order; and the first and the last of them. */
  readonly pipeline: Group;
  readonly ends: Group;
}

function groupsOf(job: Job): Groups {
  const all = Array.from({ length: job.ranks }, (_, other) => other);
  const own = placeOf(job, rank);
  const alike = (...axes: ('data' | 'tensor' | 'pipeline')[]) => new Group(memory, ranks, rank, all.filter((other) => {
    const place = placeOf(job, other);
    return axes.every((axis) => place[axis] === own[axis]);
  }));
  const pipeline = alike('data', 'tensor');
  return {
    world: new Group(memory, ranks, rank, all), data: alike('tensor', 'pipeline'), tensor: alike('data', 'pipeline'),
    pipeline, ends: new Group(memory, ranks, rank, [pipeline.members[0]!, pipeline.members.at(-1)!]),
  };
}

function train(job: Job): RankReport {
  const groups = groupsOf(job);
  const place = placeOf(job, rank);
  const zero = new Zero(stages[job.scheme], groups.data, {
    pageBytes: job.pageBytes,
    residentBytes: job.offload === 'none' ? Infinity : job.pageBytes,
    spillTo: job.offload === 'host' ? hostMemory : undefined,
  });
  const tensors = new TensorMemory();
  try {
    const load = job.method === 'full' ? loadWhole : loadWithAdapters;
    const { model, frozenBytes } = load(job, groups, zero);
    for (const group of Object.values(groups) as Group[]) group.sent = 0; // what loading took is not of a step
    const range = rangeOf(job, rank, model.base.config.layers);
    const embedding = model.parameters.find(({ name }) => name === 'model.embed_tokens.weight');
    const isTiedApart = job.pipelineParallel > 1 && model.base.config.tiedHead;
    tensors.resetPeak();
    let [rows, mostKept] = [0, 0];
    let spans: Span[] = [];
    for (const group of [groups.data, groups.tensor]) {
      group.around = (collective) => {
        const from = seconds();
        collective();
        spans.push({ type: 'communicate', micro: 0, from, to: seconds() });
      };
    }

    job.steps.forEach((examples, step) => {
      spans = [];
      const micros = microBatches(job, examples, place.data);
      rows += micros.reduce((sum, { tokens }) => sum + tokens.length, 0);
      // The loss of the whole batch is the sum of the ranks' shares of it.
      const scale = 1 / examples.reduce((sum, { tokens, promptLength }) => sum + tokens.length - promptLength, 0);
      const onStages = <T>(micro: number, use: (stages: readonly Stage[], shape: [number, number]) => T) =>
        withStages(model, range, micros[micro]!, { training: true, seed: 0 }, scale, (stages) =>
          use(stages, [micros[micro]!.tokens.length, model.base.config.hiddenSize]));
      let loss = 0;
      if (job.pipelineParallel > 1) {
        const schedule = schedules[job.schedule](job.pipelineParallel, place.pipeline, micros.length);
        const done = runPipeline(groups.pipeline, schedule, zero, onStages, seconds, spans);
        loss = done.loss;
        mostKept = done.mostKept;
        // Both ends have a copy of the embedding, and what both have learnt of it (Megatron-LM's embedding group).
        if (isTiedApart && embedding) groups.ends.allReduce(zero.gradientOf(embedding));
      } else {
        for (const micro of micros.keys()) {
          const from = seconds();
          let turned = from;
          loss += onStages(micro, (stages) => zero.forwardAndBackward(stages, () => (turned = seconds())));
          spans.push({ type: 'forward', micro, from, to: turned }, { type: 'backward', micro, from: turned, to: seconds() });
        }
      }
      const from = seconds();
      zero.reduce();
      const norm = Math.sqrt(total(groups.world, zero.squares((parameter) => counts(parameter.name))));
      zero.update(job.learningRate, clipScale(norm, job.clip));
      spans.push({ type: 'update', micro: 0, from, to: seconds() });
      tell({ type: 'step', step: step + 1, loss: range.isLast && place.tensor === 0 ? loss : 0 });
    });

    /** Whether this rank's gradient of a parameter is the one to count, of all the copies that there are. */
    function counts(name: string): boolean {
      const isCopy = isTiedApart && name === 'model.embed_tokens.weight' && !range.isFirst;
      return !isCopy && (zero.stage > 0 || place.data === 0) && (isSplit(name) || place.tensor === 0);
    }

    const { weights, gradients, optimizer } = zero.held;
    const { pageIns, pageOuts, totalBytes } = zero.paged;
    const each = (sum: number) => sum / job.steps.length;
    model.base.dispose();
    return {
      rank, held: { weights: weights + frozenBytes, gradients, optimizer }, rows: each(rows), mostKept, spans,
      offloaded: totalBytes - optimizer, paged: each((pageIns + pageOuts) * job.pageBytes),
      sent: {
        data: each(groups.data.sent), tensor: each(groups.tensor.sent),
        pipeline: each(groups.pipeline.sent + groups.ends.sent), scalars: each(groups.world.sent),
      },
      peakTensors: tensors.peak,
    };
  } finally {
    zero.close();
    tensors.close();
  }
}

/** On the clock that all threads of the process share. */
const seconds = (): number => Number(process.hrtime.bigint()) / 1e9;

/** The sum of what each rank has. */
function total(world: Group, value: number): number {
  const sum = Float32Array.of(value);
  world.allReduce(sum);
  return sum[0]!;
}

/** This rank's share of a batch, cut in micro-batches. */
function microBatches(job: Job, examples: readonly Example[], data: number): Batch[] {
  const share = examples.length / dataParallel(job);
  const size = share / job.microBatches;
  return Array.from({ length: job.microBatches }, (_, micro) => {
    const first = data * share + micro * size;
    return makeBatch(examples.slice(first, first + size), job.padId);
  });
}

interface Dense {
  readonly name: string;
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

/** The weights of the model, one at a time: the first rank reads each and gives it to the others. */
function* weightsOf(job: Job, { world }: Groups): Generator<Dense> {
  const read = world.index === 0 ? readerOf(job) : undefined;
  for (const [name, shape] of weightShapes(configOf(job))) {
    const values = read?.(name) ?? new Float32Array(sizeOf(shape));
    world.broadcast(values, 0);
    yield { name, values, shape };
  }
}

function readerOf({ model }: Job): (name: string) => Float32Array {
  if (!('folder' in model)) {
    const { base } = newModel(model.config, model.seed);
    return (name) => (base.weight(name) as Parameter).values;
  }
  const saved = openModel(model.folder);
  return (name) => {
    const weight = saved.load(name);
    if ('packed' in weight) throw new UserError(`${model.folder}: el peso «${name}» ya está en 4 bits; indica el modelo original.`);
    return weight.values();
  };
}

interface Loaded {
  readonly model: Trainable;
  readonly frozenBytes: number;
}

const configOf = ({ model }: Job) => ('folder' in model ? openModel(model.folder).config : model.config);

/** Every weight trained: of each this rank keeps what is its own. */
function loadWhole(job: Job, groups: Groups, zero: Zero): Loaded {
  const config = configOf(job);
  const { tensor } = placeOf(job, rank);
  const range = rangeOf(job, rank, config.layers);
  const parameters: Parameter[] = [];
  let waiting: Parameter[] = [];
  const rest: Parameter[] = [];
  const flush = () => {
    if (waiting.length > 0) zero.add(unitOf(waiting[0]!.name), waiting);
    waiting = [];
  };
  for (const { name, values, shape } of weightsOf(job, groups)) {
    if (!owns(range, config.tiedHead, name)) continue;
    const part = splitWeight(name, values, shape, job.tensorParallel, tensor);
    const parameter = new Parameter(name, part.values, part.shape);
    parameters.push(parameter);
    if (waiting.length > 0 && unitOf(name) !== unitOf(waiting[0]!.name)) flush(); // a block before the next comes
    (unitOf(name) === root ? rest : waiting).push(parameter);
  }
  flush();
  if (rest.length > 0) zero.add(root, rest);
  const weights = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const base = new LlamaModel(splitConfig(config, job.tensorParallel), weights);
  if (job.tensorParallel > 1) base.adapter = new TensorParallel(groups.tensor);
  return { model: { base, parameters }, frozenBytes: 0 };
}

/** The base frozen in 4 bits, with LoRA on every linear layer: only the adapters have gradients and states. */
function loadWithAdapters(job: Job, groups: Groups, zero: Zero): Loaded {
  const weights = new Map<string, Weight>();
  const shared = zero.stage === 3;
  const wide = (values: Float32Array, shape: readonly number[]) => (!shared ? new DenseWeight(values, shape)
    : new SharedWeight(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 0, shape, groups.data,
        (whole) => tf.tensor(new Float32Array(whole.buffer), [...shape])));
  // FSDP shares out the codes; their scales are no parameters, and every rank has them.
  const in4bits = (quantized: QuantizedTensor) => (!shared ? new QuantizedWeight(quantized)
    : new SharedWeight(quantized.packed, byteLength(quantized) - quantized.packed.length, quantized.shape, groups.data,
        (packed) => tf.tensor(dequantize({ ...quantized, packed }), [...quantized.shape])));
  for (const { name, values, shape } of weightsOf(job, groups)) {
    weights.set(name, isLinear(name) ? in4bits(quantize(values, shape)) : wide(values, shape));
  }
  const base = new LlamaModel(configOf(job), weights);
  const model = addLora(base, { r: job.r, alpha: job.r, dropout: 0 });
  for (const name of new Set(model.parameters.map((parameter) => unitOf(parameter.name)))) {
    zero.add(name, model.parameters.filter((parameter) => unitOf(parameter.name) === name));
  }
  return { model, frozenBytes: base.bytes };
}
