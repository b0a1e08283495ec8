import type { ModelSize } from './size.ts';

// Formulas alone: no tensors, no files, no Node. The exported deck bundles this file and runs it on its sliders.

export interface PlanOptions {
  readonly method: 'full' | 'lora' | 'qlora';
  /** Rank of the adapters; not read when every weight is trained. */
  readonly r: number;
  readonly targetModules: 'all-linear' | readonly string[];
  /** Of the adapters, 0 to 1: what matters here is whether there is any. */
  readonly dropout: number;
  /** Tokens of a sequence. */
  readonly sequence: number;
  /** Sequences of a micro-batch on one GPU. */
  readonly batchSize: number;
  /** Micro-batches of an optimizer step. */
  readonly accumulation: number;
  /** Which block inputs are kept: everything, every block's, or one in √layers. */
  readonly checkpointing: 'none' | 'full' | 'sqrt';
  readonly optimizer: 'adamw' | 'adamw-8bit' | 'paged-adamw' | 'paged-adamw-8bit';
  /** `mixed`: bf16 beside a master copy in fp32. `bf16`, `fp32`: everything in that one. */
  readonly precision: 'mixed' | 'bf16' | 'fp32';
  readonly scheme: 'ddp' | 'zero1' | 'zero2' | 'zero3' | 'fsdp';
  readonly offload: 'none' | 'cpu' | 'nvme';
  readonly gpus: number;
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  /** Whether the scales of a 4-bit base are quantised in turn. */
  readonly doubleQuant: boolean;
  /** bitsandbytes up to 0.41 kept the input of every 4-bit layer for a gradient that a frozen layer has not. */
  readonly keepsQuantizedInputs: boolean;
}

export const planDefaults: PlanOptions = {
  method: 'qlora', r: 16, targetModules: 'all-linear', dropout: 0.05, sequence: 2048, batchSize: 1, accumulation: 1,
  checkpointing: 'full', optimizer: 'adamw', precision: 'mixed', scheme: 'ddp', offload: 'none', gpus: 1,
  tensorParallel: 1, pipelineParallel: 1, doubleQuant: true, keepsQuantizedInputs: false,
};

/** Bytes. */
export interface ModelStates {
  readonly weights: number;
  readonly gradients: number;
  readonly optimizer: number;
}

/** Bytes of the fullest GPU, at the moment of the step when it holds most. */
export interface MemoryParts extends ModelStates {
  readonly activations: number;
  /** Parameters gathered for use, communication buckets, one dequantised matrix. */
  readonly buffers: number;
  /** What the allocator holds and no tensor uses. */
  readonly fragmentation: number;
  /** The CUDA context, which no allocator sees. */
  readonly context: number;
}

export interface Traffic {
  /** What each GPU sends in one optimizer step, bytes: between data-parallel ranks, inside layers, between stages. */
  readonly data: number;
  readonly tensor: number;
  readonly pipeline: number;
  /** Between each GPU and its host. */
  readonly host: number;
}

export interface Plan {
  readonly parts: MemoryParts;
  /** As `torch.cuda.max_memory_allocated` counts: tensors alone. */
  readonly allocated: number;
  /** As `torch.cuda.max_memory_reserved` counts: with fragmentation. */
  readonly reserved: number;
  /** As `nvidia-smi` counts: with the context too. */
  readonly total: number;
  /** Of the total, what a paged optimizer may leave to the host while it is not needed. */
  readonly pageable: number;
  /** Bytes in host memory, or on disk, for each GPU. */
  readonly host: number;
  readonly trained: number;
  readonly parameters: number;
  readonly traffic: Traffic;
  /** Share of the step that a pipeline stage waits, relative to the time it works. */
  readonly bubble: number;
  readonly dataParallel: number;
}

/**
 * What the allocator reserves and no tensor fills, as a share of what it reserves: the mean of the two pairs that
 * fsdp_qlora's benchmark gives for LoRA on Llama-2-7B, 8.28 of 10.24 GiB and 9.16 of 10.22 GiB
 * (github.com/AnswerDotAI/fsdp_qlora, benchmarks_03_2024.md).
 */
export const fragmentationShare = 1 - (8.28 / 10.24 + 9.16 / 10.22) / 2;

/** The CUDA context with modules loaded as they are needed (measured in github.com/pytorch/pytorch/pull/86509). */
export const contextBytes = 287_047_680;

/**
 * Bytes of loss for each token and vocabulary entry: the logits in fp32 that the model returns, the log-softmax kept
 * for the backward pass, its gradient and the logits' gradient (transformers, `ForCausalLMLoss`).
 */
const lossBytes = 4 * 4;

/** Elements of a bucket of ZeRO-1 and 2: `reduce_bucket_size` and `allgather_bucket_size` of DeepSpeed. */
const zeroBucket = 5e8;

/** Blocks whose parameters are whole at once under FSDP: one in use and two in flight (`limit_all_gathers`). */
const gatheredBlocks = 3;

/** What of a step depends on the engine that takes it, and not on the model and the options alone. */
export interface Engine {
  /** Bytes of a trained parameter: its weight, its gradient, and what the optimizer keeps of it. */
  readonly bytesOfTrained: (o: PlanOptions) => ModelStates;
  /** Bytes of a frozen weight that is not in 4 bits. */
  readonly bytesOfFrozen: (o: PlanOptions) => number;
  /** Bytes of activations at the fullest moment, of so many layers, with the loss or without it. */
  readonly activations: (size: ModelSize, o: PlanOptions, layers: number, isLast: boolean) => number;
  /** Bytes that are there for the occasion, besides those of communication. */
  readonly buffers: (size: ModelSize, o: PlanOptions) => number;
  /** Optimizer states come in pages of so many bytes. */
  readonly page: number;
  /** What the allocator holds and no tensor fills, as a share of what it holds. */
  readonly fragmentation: number;
  /** Bytes that no allocator sees. */
  readonly context: number;
}

/** Why these options cannot go together, as a Spanish sentence; undefined when they can. */
export function refusal(o: PlanOptions, size: ModelSize): string | undefined {
  const { tensorParallel: t, pipelineParallel: p, gpus } = o;
  if (gpus % (t * p) !== 0) {
    return `--gpus ${gpus} no se reparte entre --tensor-parallel ${t} y --pipeline-parallel ${p}: usa un múltiplo de ${t * p}.`;
  }
  if (size.heads % t !== 0 || size.kvHeads % t !== 0) {
    return `--tensor-parallel ${t} no divide las ${size.heads} cabezas de atención y las ${size.kvHeads} de claves del modelo: `
      + `usa un divisor de ${size.kvHeads}.`;
  }
  if (size.layers % p !== 0) {
    return `--pipeline-parallel ${p} no divide las ${size.layers} capas del modelo: usa un divisor de ${size.layers}.`;
  }
  if (o.offload !== 'none' && o.scheme === 'ddp') {
    return '--offload necesita estados repartidos: elige --scheme zero1, zero2, zero3 o fsdp.';
  }
  if (o.offload === 'nvme' && o.scheme !== 'zero3') {
    return '--offload nvme solo lo hace DeepSpeed en la etapa 3: elige --scheme zero3.';
  }
  if (p > 1 && ['zero2', 'zero3', 'fsdp'].includes(o.scheme)) {
    return `--pipeline-parallel acumula gradientes entre microlotes y no casa con --scheme ${o.scheme}: elige ddp o zero1.`;
  }
  if (o.method === 'qlora' && t * p > 1) {
    return 'QLoRA no admite --tensor-parallel ni --pipeline-parallel (Megatron no tiene NF4): elige --method lora, o --scheme fsdp.';
  }
  if (o.method !== 'full' && o.targetModules !== 'all-linear') {
    const known = Object.keys(size.linears);
    const unknown = o.targetModules.find((name) => !known.includes(name));
    if (unknown !== undefined) return `--target-modules: no existe el módulo «${unknown}»; los conocidos son ${known.join(', ')}.`;
  }
  return undefined;
}

/** Parameters of the adapters of one block: r · (in + out) for each (Hu et al., 2021, section 4.1). */
export function adapterOfBlock(size: ModelSize, o: PlanOptions): number {
  return adapterMatrices(size, o).reduce((a, b) => a + b, 0);
}

/** Those of each matrix, A and B in turn. */
function adapterMatrices(size: ModelSize, o: PlanOptions): number[] {
  if (o.method === 'full') return [];
  return targets(size, o).flatMap((name) => size.linears[name]!.map((width) => o.r * width));
}

/** The linear layers of a block that have an adapter, by the last parts of their names. */
export function targets(size: ModelSize, { targetModules }: PlanOptions): string[] {
  const names = Object.keys(size.linears);
  return targetModules === 'all-linear' ? names : names.filter((name) => targetModules.includes(name));
}

/**
 * Bits of a weight in 4-bit blocks of 64: 4 + 32/64 with scales in fp32, 4 + 8/64 + 32/(64 · 256) with the scales
 * quantised in turn (QLoRA, Dettmers et al., 2023, section 3).
 */
export function bitsOfQuantized(doubleQuant: boolean): number {
  return 4 + (doubleQuant ? 8 / 64 + 32 / (64 * 256) : 32 / 64);
}

/**
 * AdamW's two moments. PyTorch keeps them in the parameter's type; bitsandbytes in fp32, or in 8 bits with one fp32
 * scale for 256 of them (Dettmers et al., 2022, "8-bit Optimizers via Block-wise Quantization"), but for tensors of
 * fewer elements than this (its `min_8bit_size`).
 */
export const bytesOf8bitMoments = 2 * (1 + 4 / 256);
const smallest8bit = 4096;

export const is8bit = ({ optimizer }: Pick<PlanOptions, 'optimizer'>): boolean => optimizer.endsWith('8bit');

/** Bytes of a trained parameter: its weight, its gradient, and what the optimizer keeps of it. */
export function bytesOfTrained(o: Pick<PlanOptions, 'method' | 'optimizer' | 'precision'>): ModelStates {
  const moments = is8bit(o) ? bytesOf8bitMoments : o.optimizer === 'adamw' && o.precision === 'bf16' ? 4 : 8;
  if (o.precision === 'bf16') return { weights: 2, gradients: 2, optimizer: moments };
  // Adapters are few: PEFT keeps them in fp32 and they need no other master copy.
  if (o.precision === 'fp32' || o.method !== 'full') return { weights: 4, gradients: 4, optimizer: moments };
  // 2Ψ + 2Ψ + KΨ, K = 12 for Adam with its master copy (ZeRO, Rajbhandari et al., 2020, section 3.1).
  return { weights: 2, gradients: 2, optimizer: moments + 4 };
}

/**
 * What each of `ranks` data-parallel ranks holds of the model states (ZeRO, Rajbhandari et al., 2020, section 5):
 * stage 1 shards the optimizer's, stage 2 the gradients too, stage 3 and FSDP the weights too.
 */
export function shard(states: ModelStates, scheme: PlanOptions['scheme'], ranks: number): ModelStates {
  const stage = stageOf(scheme);
  return {
    weights: states.weights / (stage >= 3 ? ranks : 1),
    gradients: states.gradients / (stage >= 2 ? ranks : 1),
    optimizer: states.optimizer / (stage >= 1 ? ranks : 1),
  };
}

/** What of the model states each scheme shards: see `shard`. */
export const stages = { ddp: 0, zero1: 1, zero2: 2, zero3: 3, fsdp: 3 } as const;

const stageOf = (scheme: PlanOptions['scheme']): number => stages[scheme];

/** PyTorch with Hugging Face's libraries, on a CUDA card: the engines of the recipes. */
const pytorch: Engine = {
  bytesOfTrained,
  // `prepare_model_for_kbit_training` widens to fp32 what is not in 4 bits; a run in pure bf16 leaves it.
  bytesOfFrozen: ({ method, precision }) => (precision === 'fp32' || (method === 'qlora' && precision === 'mixed') ? 4 : 2),
  activations: activationBytes,
  buffers: dequantizedBytes,
  page: 1,
  fragmentation: fragmentationShare,
  context: contextBytes,
};

/** The memory and the traffic of a training step. The options are taken to be possible: see `refusal`. */
export function plan(size: ModelSize, o: PlanOptions, engine: Engine = pytorch): Plan {
  const { tensorParallel: t, pipelineParallel: p } = o;
  const dataParallel = o.gpus / (t * p);
  // The first stage of a pipeline holds the embedding and most micro-batches; the last one the head and the loss.
  const candidates = p === 1 ? [[0, p - 1]] : [[0], [p - 1]];
  const stagePlans = candidates.map((ends) => planStage(size, o, engine, dataParallel, ends));
  const fullest = stagePlans.reduce((most, next) => (next.allocated > most.allocated ? next : most));
  const reserved = fullest.allocated / (1 - engine.fragmentation);
  const paged = o.optimizer.startsWith('paged') && o.offload === 'none';
  const blocks = size.layers * adapterOfBlock(size, o);
  return {
    parts: { ...fullest.parts, fragmentation: reserved - fullest.allocated, context: engine.context },
    allocated: fullest.allocated,
    reserved,
    total: reserved + engine.context,
    pageable: paged ? fullest.parts.optimizer / (1 - engine.fragmentation) : 0,
    host: fullest.host,
    trained: o.method === 'full' ? size.parameters : blocks,
    parameters: size.parameters + blocks,
    traffic: traffic(size, o, engine, dataParallel),
    // GPipe and 1F1B: (p − 1) / m (Narayanan et al., 2021, section 2.2).
    bubble: (p - 1) / o.accumulation,
    dataParallel,
  };
}

interface StagePlan {
  readonly parts: ModelStates & { readonly activations: number; readonly buffers: number };
  readonly allocated: number;
  readonly host: number;
}

/**
 * Bytes of one pipeline stage on one GPU.
 * @param ends 0 for the stage with the embedding, p − 1 for the one with the head
 */
function planStage(
  size: ModelSize, o: PlanOptions, engine: Engine, dataParallel: number, ends: readonly number[],
): StagePlan {
  const { tensorParallel: t, pipelineParallel: p } = o;
  const layers = size.layers / p;
  const isLast = ends.includes(p - 1);
  const wide = (ends.includes(0) ? size.embedding : 0)
    // A tied head is a copy of the embedding where the two are apart.
    + (isLast ? size.head + size.norm + (p > 1 && size.head === 0 ? size.embedding : 0) : 0);
  const unit = unitBytes(size, o, engine, wide / t);
  const whole = sum(times(layers, unit.block), unit.root);
  const sharded = shard(whole, o.scheme, dataParallel);
  const held = offloaded(sharded, o);
  // The scales of a 4-bit base are no parameters: FSDP shards and offloads the codes alone, and every rank has them.
  const weights = held.weights + layers * unit.scales;
  const optimizer = Math.ceil(held.optimizer / engine.page) * engine.page;
  const activations = engine.activations(size, o, layers, isLast);
  const buffers = engine.buffers(size, o) + communicationBytes(o, unit, whole, dataParallel);
  return {
    parts: { weights, gradients: held.gradients, optimizer, activations, buffers },
    allocated: weights + held.gradients + optimizer + activations + buffers,
    host: sharded.weights + sharded.gradients + sharded.optimizer - held.weights - held.gradients - held.optimizer,
  };
}

/** Bytes on the GPU before data-parallel sharding: of one block, and of what is in no block. */
interface UnitBytes {
  readonly block: ModelStates;
  /** Bytes of scales of one block of a 4-bit base. */
  readonly scales: number;
  readonly root: ModelStates;
}

function unitBytes(size: ModelSize, o: PlanOptions, engine: Engine, root: number): UnitBytes {
  const t = o.tensorParallel;
  const linear = Object.values(size.linears).reduce((n, [out, input]) => n + out * input, 0) / t;
  const rest = size.blockRest;
  const { weights, gradients, optimizer } = engine.bytesOfTrained(o);
  if (o.method === 'full') {
    const states = { weights, gradients, optimizer };
    return { block: times(linear + rest, states), scales: 0, root: times(root, states) };
  }
  const adapter = adapterOfBlock(size, o) / t;
  const small = is8bit(o) ? adapterMatrices(size, o).filter((n) => n < smallest8bit).reduce((a, b) => a + b, 0) / t : 0;
  const isQuantized = o.method === 'qlora';
  const frozen = engine.bytesOfFrozen(o);
  const scales = isQuantized ? linear * (bitsOfQuantized(o.doubleQuant) - 4) / 8 : 0;
  return {
    block: {
      weights: (isQuantized ? linear / 2 : linear * frozen) + rest * frozen + adapter * weights,
      gradients: adapter * gradients,
      optimizer: adapter * optimizer + small * (8 - bytesOf8bitMoments),
    },
    scales,
    root: { weights: root * frozen, gradients: 0, optimizer: 0 },
  };
}

const times = (factor: number, { weights, gradients, optimizer }: ModelStates): ModelStates =>
  ({ weights: factor * weights, gradients: factor * gradients, optimizer: factor * optimizer });

const sum = (a: ModelStates, b: ModelStates): ModelStates => ({
  weights: a.weights + b.weights, gradients: a.gradients + b.gradients, optimizer: a.optimizer + b.optimizer,
});

/**
 * What stays on the GPU when the host takes what it can: the optimizer's states and sharded gradients, and at stage 3
 * the parameters (ZeRO-Offload, Ren et al., 2021; ZeRO-Infinity, Rajbhandari et al., 2021, for the disk).
 */
function offloaded(states: ModelStates, { scheme, offload }: PlanOptions): ModelStates {
  if (offload === 'none') return states;
  const stage = stageOf(scheme);
  return {
    weights: stage >= 3 ? 0 : states.weights,
    gradients: stage >= 2 ? 0 : states.gradients,
    optimizer: 0,
  };
}

/** Bytes of an activation. */
const width = ({ precision }: PlanOptions): number => (precision === 'fp32' ? 4 : 2);

/**
 * What autograd keeps of one block for one token, and what its backward pass adds at its fullest, bytes.
 *
 * The counting is that of Korthikanti et al., 2022, section 4 ("Reducing Activation Recomputation"), done over for a
 * Llama block: RMSNorm, SwiGLU, grouped keys, an attention kernel that keeps no scores (Dao et al., 2022), and frozen
 * layers, whose backward pass needs their weight and not their input. Tensor parallel divides what lies between the
 * column-parallel and the row-parallel layer; norms and residuals stay whole.
 */
export function activationsOfBlock(size: ModelSize, o: PlanOptions): { kept: number; working: number } {
  const { hiddenSize: h, intermediateSize: f } = size;
  const t = o.tensorParallel;
  const e = width(o);
  const q = size.heads * size.headDim;
  const kv = size.kvHeads * size.headDim;
  const norms = 2 * 4 * h; // each in fp32
  const attention = (e * (2 * q + 2 * kv) + 4 * size.heads) / t; // q, k, v, output; one log-sum-exp a head
  const gated = e * 3 * f / t; // gate, SiLU of it, up
  // What enters the layers: one tensor for q, k and v, one for gate and up; that of o is attention's output, kept.
  const shared: Record<string, [name: string, bytes: number]> = {
    q_proj: ['norm', e * h], k_proj: ['norm', e * h], v_proj: ['norm', e * h], o_proj: ['attention', 0],
    gate_proj: ['mlp', e * h], up_proj: ['mlp', e * h], down_proj: ['product', e * f / t],
  };
  const inputs = (names: readonly string[]) =>
    [...new Map(names.map((name) => shared[name]!)).values()].reduce((n, bytes) => n + bytes, 0);
  const all = Object.keys(size.linears);
  let kept = norms + attention + gated;
  if (o.method === 'full') {
    kept += inputs(all) + 2 * e * h; // and each norm's output, for its weight
  } else {
    const trained = targets(size, o);
    const split = (name: string) => (name === 'o_proj' || name === 'down_proj' ? t : 1); // rows are split by input
    kept += o.dropout > 0
      ? trained.reduce((n, name) => n + (e + 1) * size.linears[name]![1] / split(name), 0) // a copy and a mask for each
      : inputs(trained);
    kept += trained.length * e * o.r;
    if (o.method === 'qlora' && o.keepsQuantizedInputs) kept += inputs(all);
  }
  // Gradients of the product, the gate and the up projection, and of the residual stream twice.
  return { kept, working: e * (3 * f / t + 2 * h) };
}

/**
 * Activations at the fullest moment: what is kept, and the larger of the loss and of one block's (or one segment's)
 * recomputation and backward pass. With a checkpoint a block, 2·s·b·h bytes a layer (Korthikanti et al., 2022,
 * section 5); with one in √L, a segment of √L blocks is recomputed at once (Chen et al., 2016, section 4).
 */
function activationBytes(size: ModelSize, o: PlanOptions, layers: number, isLast: boolean): number {
  const tokens = o.sequence * o.batchSize;
  const { kept, working } = activationsOfBlock(size, o);
  const segment = o.checkpointing === 'sqrt' ? Math.ceil(Math.sqrt(layers)) : 1;
  const stored = o.checkpointing === 'none' ? layers * kept : Math.ceil(layers / segment) * width(o) * size.hiddenSize;
  const recomputed = o.checkpointing === 'none' ? 0 : segment * kept;
  const loss = isLast ? lossBytes * size.vocabSize / o.tensorParallel : 0;
  // 1F1B: the first of p stages holds the activations of p micro-batches, the last of one (Narayanan et al., 2021).
  const flying = isLast ? 1 : Math.min(o.pipelineParallel, o.accumulation);
  return tokens * (flying * stored + Math.max(loss, recomputed + working));
}

/** One dequantised matrix: bitsandbytes widens it to multiply by it. */
function dequantizedBytes(size: ModelSize, o: PlanOptions): number {
  const largest = Math.max(...Object.values(size.linears).map(([out, input]) => out * input));
  return o.method === 'qlora' ? width(o) * largest : 0;
}

/**
 * Parameters gathered for use, and communication buckets. A single rank exchanges nothing with others; but what waits
 * on the host comes whole to be used, and gradients go there by a bucket.
 */
function communicationBytes(
  o: PlanOptions, { block, root }: UnitBytes, whole: ModelStates, ranks: number,
): number {
  if (ranks === 1 && o.offload === 'none') return 0;
  switch (o.scheme) {
    case 'ddp': return whole.gradients; // its buckets are a second copy (`gradient_as_bucket_view=False`)
    case 'zero1':
    case 'zero2': {
      const bucket = Math.min(whole.gradients, zeroBucket * bytesOfTrained(o).gradients);
      return ranks === 1 ? bucket : 2 * bucket; // one of gradients, one of parameters
    }
    case 'zero3':
    case 'fsdp': {
      const gathered = root.weights + gatheredBlocks * block.weights;
      // Shards on their way from the host; a single one is what was asked for itself.
      const brought = o.offload === 'none' || ranks === 1 ? 0 : gathered / ranks;
      const reduced = block.gradients; // one block's gradients, whole until they are scattered
      return gathered + brought + reduced;
    }
  }
}

/**
 * Bytes that each GPU sends in one optimizer step.
 *
 * Between data-parallel ranks: 2Ψ to all-reduce the gradients or to scatter them and gather what was updated, 3Ψ at
 * stage 3, which gathers the parameters twice (ZeRO, Rajbhandari et al., 2020, section 7); as there, without the
 * factor (N − 1)/N of a ring. Only what is trained has gradients; all that is sharded is gathered, once a micro-batch.
 * Inside layers: two all-reduces forward and two backward for each block (Megatron-LM, Shoeybi et al., 2019,
 * section 3), and two more where it is recomputed.
 */
function traffic(size: ModelSize, o: PlanOptions, engine: Engine, ranks: number): Traffic {
  const { tensorParallel: t, pipelineParallel: p, accumulation: m } = o;
  const layers = size.layers / p;
  const { block, root } = unitBytes(size, o, engine, (size.embedding + size.norm + size.head) / t / p);
  const { weights, gradients } = sum(times(layers, block), root);
  const trained = engine.bytesOfTrained(o);
  const updated = gradients * trained.weights / trained.gradients;
  const boundary = o.sequence * o.batchSize * size.hiddenSize * width(o);
  const passes = o.checkpointing === 'none' ? 2 : 3; // forward, backward and, with checkpoints, forward again
  return {
    data: dataTraffic(),
    tensor: t === 1 ? 0 : m * layers * passes * 2 * (2 * (t - 1) / t) * boundary,
    pipeline: p === 1 ? 0 : m * 2 * boundary,
    host: hostTraffic(),
  };

  function dataTraffic(): number {
    if (ranks === 1) return 0;
    switch (stageOf(o.scheme)) {
      case 0: return 2 * gradients;
      case 1: return gradients + updated;
      case 2: return m * gradients + updated;
      default: return m * (2 * weights + gradients);
    }
  }

  function hostTraffic(): number {
    if (o.offload === 'none') return 0;
    const updates = (gradients + updated) / ranks;
    return stageOf(o.scheme) >= 3 ? updates + m * 2 * weights / ranks : updates;
  }
}
