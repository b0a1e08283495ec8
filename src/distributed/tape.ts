import { adamwDefaults } from '../train/adamw.ts';
import { adapterOfBlock, bytesOf8bitMoments, is8bit, targets } from './planner.ts';
import type { Engine, PlanOptions } from './planner.ts';
import type { ModelSize } from './size.ts';

// This project as the planner's engine: its own training step on wasm (src/train/gradients.ts), on one device, in
// float32 but for the 4 bits, of a model without biases or head norms. What the tape holds is counted from the
// operations of src/model/llama.ts and src/tensor/ops.ts by TensorFlow.js's two rules: what an operation saves for its
// gradient stays (a sum and a product save both terms, a change of shape what it had); and the gradient of each input
// of each operation stays until the tape has been walked back. Views of one buffer count once.

/** Floats per token that the tape holds of a block, or of a part of it. */
interface OnTape {
  readonly saved: number;
  /** At the end of the way forward, what no gradient needs: it goes when the forward does. */
  readonly passing: number;
  /** At the end of the way back. */
  readonly gradients: number;
}

/** Up to attention, and past it: there the last block goes on with the rows of the answers alone. */
interface BlockOnTape {
  readonly before: OnTape;
  readonly after: OnTape;
  /** Gradients that the first block has not where nothing below it learns. */
  readonly below: number;
  /** Whether what enters o_proj is saved for it. */
  readonly keepsMixed: boolean;
}

/** What a linear layer is given, by the last part of its name: layers with the same share one tensor. */
const inputs: Readonly<Record<string, string>> = {
  q_proj: 'norm', k_proj: 'norm', v_proj: 'norm', o_proj: 'attention',
  gate_proj: 'second norm', up_proj: 'second norm', down_proj: 'product',
};

function onTape(size: ModelSize, o: PlanOptions): BlockOnTape {
  const { hiddenSize: h, intermediateSize: f, heads, linears } = size;
  const [q, kv] = [heads * size.headDim, size.kvHeads * size.headDim];
  const adapted = o.method === 'full' ? [] : targets(size, o);
  const drops = o.dropout > 0;
  // Saved where a weight learns from it, or an adapter that drops nothing of it.
  const learnedFrom = (name: string) => o.method === 'full' || (!drops && adapted.includes(name));
  const sum = (of: readonly string[], floats: (out: number, input: number, name: string) => number) =>
    of.reduce((total, name) => total + floats(...linears[name]!, name), 0);

  /** What the linear layers of a part take, by layers. (Attention has saved its own output already.) */
  const linear = (names: readonly string[]): OnTape => {
    const entering = (of: readonly string[]) => {
      const widths = new Map(of.map((name) => [inputs[name], linears[name]![1]]));
      widths.delete('attention');
      return [...widths.values()].reduce((a, b) => a + b, 0);
    };
    const kept = entering(names.filter(learnedFrom));
    const changed = names.filter((name) => adapted.includes(name));
    return {
      // LoRA: A's product, and what dropout left of x.
      saved: kept + sum(changed, (_out, input) => o.r + (drops ? input : 0)),
      passing: entering(names) - kept + sum(changed, (out) => out), // what the update is added to
      gradients: sum(names, (_out, input) => input) + sum(changed, (_out, input) => (drops ? 2 : 1) * input),
    };
  };
  const names = Object.keys(linears);
  const qkv = names.filter((name) => inputs[name] === 'norm');
  const [projections, others] = [linear(qkv), linear(names.filter((name) => !qkv.includes(name)))];
  return {
    before: {
      saved: h + 1 // the norm: x normed, and its scale
        + 3 * q + 3 * kv + 2 * heads // q and k, before the rotation and after; v; attention's output and its sums
        + projections.saved,
      passing: projections.passing,
      gradients: 2 * h + h // the norm's, before the weight and after; both branches of the residual sum, added up
        + 2 * q + 3 * kv // attention, and the rotation of q and k
        + projections.gradients,
    },
    after: {
      saved: h + 1 + 4 * h // the norm; the terms of both residual sums
        + 3 * f // SwiGLU: up, σ(gate), silu(gate)
        + others.saved,
      passing: f + others.passing, // the gate
      gradients: 2 * h + h + 2 * f + others.gradients,
    },
    // Frozen products, dropouts and norm pass nothing on where nobody asks; an A gives its input's gradient anyway.
    below: o.method === 'full' ? 0
      : 3 * h + sum(qkv, (_out, input, name) => input * (1 + Number(drops && adapted.includes(name)))),
    keepsMixed: learnedFrom('o_proj'),
  };
}

/**
 * Floats of the fullest moment of `backwardByBlocks`, or of `backwardOnOneTape`, with `answersOnly`.
 * @param answers tokens of the batch that are predicted
 */
function fullestMoment(size: ModelSize, o: PlanOptions, layers: number, answers: number): number {
  const { hiddenSize: h, vocabSize, embedding, head } = size;
  const rows = o.sequence * o.batchSize;
  const { before, after, below, keepsMixed } = onTape(size, o);
  const isFull = o.method === 'full';
  const { block, root } = trainedOf(size, o);
  // One that learns from the head and from the input: two matrices that become a third.
  const tied = isFull && head === 0 ? 2 * embedding : 0;

  /** Of so many blocks, the last of the model among them or not. Its rows are taken out of attention's. */
  const held = (part: keyof OnTape, blocks: number, hasLast: boolean): number => {
    const usual = (blocks - Number(hasLast)) * rows * (before[part] + after[part]);
    const mixed = answers * size.heads * size.headDim;
    const taken = {
      saved: keepsMixed ? mixed : 0,
      passing: (keepsMixed ? 0 : mixed) + (blocks > 1 ? rows * h : 0), // its input, of which the tape has those rows
      gradients: rows * size.heads * size.headDim,
    }[part];
    return usual + (hasLast ? rows * before[part] + answers * after[part] + taken : 0);
  };
  const headSaved = answers * (h + 1 + (isFull ? h : 0) + vocabSize); // the last norm, its output, log-probabilities
  // Logits, and what `logSoftmax` makes of them on its way; the block's output, and the norm's.
  const headPassing = answers * (4 * vocabSize + h + (isFull ? 0 : h));
  const headGradients = answers * (vocabSize + 3 * h); // logits; the norm's, and the norm's input's

  const segment = { none: layers, full: 1, sqrt: Math.round(Math.sqrt(layers)) }[o.checkpointing];
  const segments = Math.ceil(layers / segment);
  const moments: number[] = [];
  for (let i = 0; i < segments; i++) {
    const hasLast = i === segments - 1;
    const blocks = Math.min(segment, layers - i * segment);
    const inputs = rows * h * (i + 1); // those kept; its own is on the segment's tape, too, and counts once
    const tape = inputs + held('saved', blocks, hasLast) - (blocks > Number(hasLast) ? rows * h : 0);
    const back = held('gradients', blocks, hasLast) - (i === 0 ? rows * below : 0) + block * blocks;
    // The last gradient is a norm's: it takes three tensors to make, and the sum that it goes into is still to come.
    const making = i > 0 || isFull ? 2 * rows * h : 0;
    if (!hasLast) {
      const passed = 2 * rows * h; // the segment's output, and its gradient
      moments.push(tape + passed + back + making + block * (layers - (i + 1) * segment) + root);
      continue;
    }
    moments.push(
      tape + held('passing', blocks, hasLast) + headSaved + headPassing,
      tape + headSaved + headGradients + back + root + Math.max(making, i === 0 ? tied : 0),
    );
  }
  moments.push(2 * rows * h + layers * block + root + tied); // the embedding, last
  return Math.max(...moments);
}

/** Parameters that learn, of a block and of what is in no block. */
function trainedOf(size: ModelSize, o: PlanOptions): { block: number; root: number } {
  if (o.method !== 'full') return { block: adapterOfBlock(size, o), root: 0 };
  const root = size.embedding + size.norm + size.head;
  return { block: (size.parameters - root) / size.layers, root };
}

/** What a pass has from its beginning to its end: rotary tables, the causal mask, ids and labels. Bytes. */
function placementBytes(size: ModelSize, { sequence, batchSize }: PlanOptions, answers: number): number {
  const rows = sequence * batchSize;
  const tables = 2 * rows * size.headDim + size.headDim ** 2;
  const mask = size.heads / size.kvHeads * sequence ** 2;
  return 4 * (tables + mask + rows + 4 * answers);
}

/**
 * The engine, for a batch in which so many tokens are predicted. Gradients are counted whole: where a step is fullest
 * before all are there, activations are counted without those that come later.
 */
export const tapeEngine = (answers: number): Engine => ({
  // A weight and the host's copy, which is the master; AdamW on the host.
  bytesOfTrained: (o) => ({ weights: 8, gradients: 4, optimizer: is8bit(o) ? bytesOf8bitMoments : 8 }),
  bytesOfFrozen: () => 4,
  activations: (size, o, layers) => {
    const { block, root } = trainedOf(size, o);
    return 4 * (fullestMoment(size, o, layers, answers) - layers * block - root);
  },
  buffers: (size, o) => placementBytes(size, o, answers), // products are taken from the 4 bits: nothing is widened
  page: adamwDefaults.pageBytes,
  fragmentation: 0,
  context: 0,
});
