import * as tf from '@tensorflow/tfjs';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { answerTokens, makeBatch } from '../src/data/batches.ts';
import type { Batch, Example } from '../src/data/batches.ts';
import { formatBytes, formatNumber, formatPercent } from '../src/format.ts';
import { weightShapes } from '../src/model/config.ts';
import { LlamaModel } from '../src/model/llama.ts';
import { loadModel } from '../src/model/load.ts';
import type { PeftModel } from '../src/peft/adapter.ts';
import { addLora } from '../src/peft/lora.ts';
import { disposeTrained, unfreeze } from '../src/peft/trainable.ts';
import { median } from '../src/statistics.ts';
import { TensorMemory } from '../src/tensor/memory.ts';
import { readAll } from '../src/tensor/read.ts';
import { lossAndGradients } from '../src/train/gradients.ts';

export interface StepCost {
  /** Most tensor bytes above what was held before the step. */
  readonly peakBytes: number;
  /** The median. */
  readonly secondsPerStep: number;
}

export interface CheckpointingResult {
  readonly with: StepCost & { readonly keptBytes: number };
  readonly without: StepCost;
  readonly batchSize: number;
  readonly seqLength: number;
  /** The largest difference between the two ways' gradients, relative to the largest gradient. */
  readonly largestGradientDifference: number;
  /** Models of more and more layers: the blocks of this one, over and over. */
  readonly layers: readonly LayersCost[];
  /** Gradients of every weight, computed in float32 and then rounded: what share of them is lost, 0 to 1. */
  readonly precision: readonly RoundedGradients[];
  /** The same effective batch in more and smaller micro-batches. */
  readonly accumulation: readonly AccumulationCost[];
}

export interface AccumulationCost extends StepCost {
  readonly batchSize: number;
  readonly micros: number;
  readonly loss: number;
}

export interface LayersCost extends Record<'plain' | 'blocks' | 'sqrt', StepCost> {
  readonly layers: number;
}

export interface RoundedGradients {
  readonly format: 'bf16' | 'fp16';
  /** What the loss is multiplied by, so that its gradients are too. */
  readonly lossScale: number;
  /** Not zero before, zero after. */
  readonly lost: number;
  /** Root mean square of the error, relative to that of the gradients. */
  readonly error: number;
}

/** Times that each way takes the step, after one that warms up. */
const repeats = 5;

/** Slide 8: one step of the demo, with and without gradient checkpointing. */
export async function checkpointing(
  modelDir: string, data: DataOptions, { batchSize }: { batchSize: number },
  show: (line: string) => void,
): Promise<CheckpointingResult> {
  const model = addLora(loadModel(modelDir, { loadIn4bit: true }));
  const { tokenizer, train } = await loadInstructions(modelDir, data);
  const batch = makeBatch(train.slice(0, batchSize), tokenizer.padId);
  const memory = new TensorMemory();
  const pass = { training: true, seed: 42 };
  const scale = 1 / answerTokens([batch]);

  // #region checkpointing
  const step = async (checkpointing: boolean) => {
    memory.resetPeak();
    const [before, began] = [memory.current, performance.now()];
    const result = await lossAndGradients(model, batch, { checkpointing, pass, scale });
    const seconds = (performance.now() - began) / 1000;
    return { ...result, peakBytes: memory.peak - before, seconds };
  };
  // #endregion

  type Taken = Awaited<ReturnType<typeof step>>;
  const runs = { with: [] as Taken[], without: [] as Taken[] };
  for (let i = 0; i < repeats + 1; i++) { // in turn, so that a slow moment of the machine touches both
    for (const way of ['with', 'without'] as const) {
      const result = await step(way === 'with');
      const cost = `${formatBytes(result.peakBytes)}, ${formatNumber(result.seconds, 2, true)} s`;
      show(`${way === 'with' ? 'recomputando' : 'sin recomputar'}: ${cost}${i === 0 ? ' (calienta)' : ''}`);
      await new Promise(setImmediate); // whoever listens is told now, not at the end
      if (i > 0) runs[way].push(result); // the first of each warms up
      if (i < repeats) tf.dispose(result.gradients);
    }
  }
  memory.close();
  const cost = (results: Taken[]): StepCost => ({
    peakBytes: Math.max(...results.map(({ peakBytes }) => peakBytes)),
    secondsPerStep: median(results.map(({ seconds }) => seconds)),
  });

  const [checkpointed, plain] = [runs.with.at(-1)!, runs.without.at(-1)!];
  let largest = 0;
  let difference = 0;
  checkpointed.gradients.forEach((gradient, i) => {
    const [a, b] = [gradient.dataSync(), plain.gradients[i]!.dataSync()];
    a.forEach((value, j) => {
      largest = Math.max(largest, Math.abs(value));
      difference = Math.max(difference, Math.abs(value - b[j]!));
    });
  });
  tf.dispose([...checkpointed.gradients, ...plain.gradients]);
  disposeTrained(model);
  return {
    with: { ...cost(runs.with), keptBytes: checkpointed.checkpointBytes },
    without: cost(runs.without),
    batchSize: batch.batchSize,
    seqLength: batch.seqLength,
    largestGradientDifference: difference / largest,
    ...await further(modelDir, train, tokenizer.padId, batchSize, show),
  };
}

/** Depth, precision and accumulation: the rest of slide 8, on the same model. */
async function further(
  modelDir: string, train: readonly Example[], padId: number, batchSize: number, show: (line: string) => void,
): Promise<Pick<CheckpointingResult, 'layers' | 'precision' | 'accumulation'>> {
  const base = loadModel(modelDir, { loadIn4bit: true });
  const few = makeBatch(train.slice(0, 2), padId);

  const layers: LayersCost[] = [];
  for (const depth of [4, 9, 16]) {
    const model = addLora(deepened(base, depth), { dropout: 0 });
    const segment = Math.round(Math.sqrt(depth));
    const [plain, blocks, sqrt] = [
      await costOf(model, [few], { checkpointing: false }), await costOf(model, [few], { checkpointing: true }),
      await costOf(model, [few], { checkpointing: true, segment }),
    ];
    layers.push({ layers: depth, plain, blocks, sqrt });
    const peaks = [plain, blocks, sqrt].map(({ peakBytes }) => formatBytes(peakBytes)).join(', ');
    show(`${depth} capas: ${peaks}, sin recomputar, recomputando cada bloque y de ${segment} en ${segment}`);
    await new Promise(setImmediate);
  }

  const gradients = await wholeGradients(modelDir, few);
  const precision = ([['bf16', 1], ['fp16', 1], ['fp16', 2 ** 16]] as const).map(([format, lossScale]) =>
    ({ format, lossScale, ...rounded(gradients, format, lossScale) }));
  for (const { format, lossScale, lost } of precision) {
    const scaled = lossScale > 1 ? ` con la pérdida × ${formatNumber(lossScale)}` : '';
    show(`gradientes en ${format}${scaled}: se pierde un ${formatPercent(lost, 2, true)}`);
  }

  const model = addLora(base, { dropout: 0 });
  const accumulation = [];
  for (let size = batchSize; size >= 1; size = Math.floor(size / 2)) {
    const micros = Array.from({ length: Math.ceil(batchSize / size) }, (_, i) =>
      makeBatch(train.slice(i * size, Math.min(batchSize, (i + 1) * size)), padId));
    const cost = await costOf(model, micros, { checkpointing: true });
    accumulation.push({ batchSize: size, micros: micros.length, ...cost });
    show(`lote ${size} × ${micros.length}: ${formatBytes(cost.peakBytes)}, pérdida ${formatNumber(cost.loss, 6, true)}`);
    await new Promise(setImmediate);
  }
  return { layers, precision, accumulation };
}

/** The model with so many layers: its own blocks, in turn. */
function deepened(base: LlamaModel, layers: number): LlamaModel {
  const config = { ...base.config, layers };
  return new LlamaModel(config, new Map([...weightShapes(config).keys()].map((name) => [
    name, base.weight(name.replace(/\d+/, (layer) => String(Number(layer) % base.config.layers))),
  ])));
}

/** A step of one or more micro-batches: the median of three, after one that warms up. */
async function costOf(
  model: PeftModel, micros: readonly Batch[], way: { checkpointing: boolean; segment?: number },
): Promise<StepCost & { readonly loss: number }> {
  const scale = 1 / answerTokens(micros);
  const memory = new TensorMemory();
  const step = async () => {
    memory.resetPeak();
    const [before, began] = [memory.current, performance.now()];
    let loss = 0;
    for (const batch of micros) {
      const pass = { training: true, seed: 42 };
      const result = await lossAndGradients(model, batch, { ...way, pass, scale });
      loss += result.loss;
      tf.dispose(result.gradients);
    }
    return { peakBytes: memory.peak - before, secondsPerStep: (performance.now() - began) / 1000, loss };
  };
  await step();
  const costs = [await step(), await step(), await step()].sort((a, b) => a.secondsPerStep - b.secondsPerStep);
  memory.close();
  return costs[1]!;
}

/** The gradient of every weight, in float32. */
async function wholeGradients(modelDir: string, batch: Batch): Promise<Float32Array[]> {
  const model = unfreeze(loadModel(modelDir));
  const { gradients } = await lossAndGradients(model, batch, {
    pass: { training: true, seed: 42 }, scale: 1 / answerTokens([batch]), checkpointing: true,
  });
  const values = await readAll(gradients);
  tf.dispose(gradients);
  model.base.dispose();
  return values;
}

/** Binary16 has no exponent below −14, and below that steps of 2⁻²⁴; bfloat16 has float32's exponents. */
const formats = {
  bf16: { bits: 8, least: -126, most: 3.39e38 }, fp16: { bits: 11, least: -14, most: 65504 },
} as const;

/** Rounded to the nearest value of the format, ties to even; what is too large for it is infinite. */
export function round(value: number, format: keyof typeof formats): number {
  if (value === 0) return value;
  const { bits, least, most } = formats[format];
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), least) - (bits - 1));
  const steps = value / step;
  const near = Math.round(steps);
  const even = Math.abs(steps - Math.trunc(steps)) === 0.5 ? 2 * Math.round(steps / 2) : near;
  return Math.abs(even * step) > most ? Math.sign(value) * Infinity : even * step;
}

function rounded(
  gradients: readonly Float32Array[], format: keyof typeof formats, lossScale: number,
): Pick<RoundedGradients, 'lost' | 'error'> {
  let [nonzero, lost, error, square] = [0, 0, 0, 0];
  for (const gradient of gradients) {
    for (const value of gradient) {
      if (value === 0) continue; // of tokens that the batch has not
      const back = round(value * lossScale, format) / lossScale;
      nonzero++;
      if (back === 0) lost++;
      error += (back - value) ** 2;
      square += value ** 2;
    }
  }
  return { lost: lost / nonzero, error: Math.sqrt(error / square) };
}
