import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { answerTokens, IGNORED } from '../data/batches.ts';
import type { Batch } from '../data/batches.ts';
import { loadModel } from '../model/load.ts';
import { writeSyntheticModel } from '../model/synthetic.ts';
import { QuantizedWeight } from '../model/weights.ts';
import { addLora } from '../peft/lora.ts';
import { disposeTrained, unfreeze } from '../peft/trainable.ts';
import { Random } from '../random.ts';
import { TensorMemory } from '../tensor/memory.ts';
import { readAll } from '../tensor/read.ts';
import { AdamW, adamwDefaults } from '../train/adamw.ts';
import { lossAndGradients } from '../train/gradients.ts';
import { readArchitecture } from './architecture.ts';
import { plan, planDefaults } from './planner.ts';
import type { PlanOptions } from './planner.ts';
import { modelSize } from './size.ts';
import { tapeEngine } from './tape.ts';

/** Bytes of one part of a step. */
export interface PartCheck {
  readonly measured: number;
  readonly planned: number;
  /** planned / measured − 1. */
  readonly error: number;
}

/** A step of this project, measured and planned. */
export interface MeasuredCheck {
  readonly what: string;
  readonly total: PartCheck;
  readonly weights: PartCheck;
  readonly gradients: PartCheck;
  readonly optimizer: PartCheck;
  /** What the step holds at its fullest beside those: activations, and what there is for the occasion. */
  readonly activations: PartCheck;
}

interface Case {
  readonly what: string;
  readonly model: 'embedded' | 'other';
  readonly options: Partial<PlanOptions>;
}

const cases: readonly Case[] = [
  { what: 'todos los pesos', model: 'embedded', options: { method: 'full', batchSize: 4, sequence: 64, checkpointing: 'none' } },
  { what: 'todos los pesos, recomputando', model: 'embedded', options: { method: 'full', batchSize: 8, sequence: 64 } },
  { what: 'LoRA r = 16', model: 'embedded', options: { method: 'lora', batchSize: 4, sequence: 128, checkpointing: 'none' } },
  { what: 'LoRA r = 8 en q y v, cada √n bloques', model: 'embedded', options: {
    method: 'lora', r: 8, targetModules: ['q_proj', 'v_proj'], dropout: 0, batchSize: 4, sequence: 128, checkpointing: 'sqrt',
  } },
  { what: 'QLoRA r = 16, recomputando', model: 'embedded', options: { method: 'qlora', batchSize: 8, sequence: 64 } },
  { what: 'QLoRA r = 32, Adam en 8 bits', model: 'embedded', options: {
    method: 'qlora', r: 32, batchSize: 1, sequence: 256, checkpointing: 'none', optimizer: 'paged-adamw-8bit',
  } },
  { what: 'otra forma, todos los pesos', model: 'other', options: { method: 'full', batchSize: 2, sequence: 96, checkpointing: 'none' } },
  { what: 'otra forma, QLoRA r = 8, recomputando', model: 'other', options: { method: 'qlora', r: 8, batchSize: 6, sequence: 32 } },
];

/** Another shape than the embedded model's: more layers, narrower, its head not tied. */
const otherShape = {
  hiddenSize: 192, intermediateSize: 512, layers: 6, heads: 6, kvHeads: 3, vocabSize: 1024, tiedHead: false,
} as const;

/**
 * The planner against this project's own training step: each case is taken here, on wasm, and its bytes are counted
 * part by part. `useBackend('wasm')` first.
 *
 * @param embedded folder of the embedded model
 */
export async function* measuredChecks(embedded: string): AsyncGenerator<MeasuredCheck> {
  const folder = mkdtempSync(join(tmpdir(), 'shape-'));
  const other = join(folder, 'model');
  try {
    for (const _written of writeSyntheticModel(other, otherShape)); // piece by piece
    for (const { what, model, options } of cases) {
      yield await check(what, model === 'embedded' ? embedded : other, { ...planDefaults, optimizer: 'paged-adamw', ...options });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function check(what: string, folder: string, o: PlanOptions): Promise<MeasuredCheck> {
  const config = readArchitecture(folder);
  const batch = randomBatch(o, config.vocabSize);
  const measured = await measure(folder, o, batch);
  const { parts } = plan(modelSize(config), o, tapeEngine(answerTokens([batch])));
  const planned = { ...parts, activations: parts.activations + parts.buffers };
  const partOf = (of: (bytes: typeof measured) => number): PartCheck =>
    ({ measured: of(measured), planned: of(planned), error: of(planned) / of(measured) - 1 });
  return {
    what,
    total: partOf(({ weights, gradients, optimizer, activations }) => weights + gradients + optimizer + activations),
    weights: partOf(({ weights }) => weights), gradients: partOf(({ gradients }) => gradients),
    optimizer: partOf(({ optimizer }) => optimizer), activations: partOf(({ activations }) => activations),
  };
}

/** Bytes of a step, counted as they come and go. */
async function measure(
  folder: string, o: PlanOptions, batch: Batch,
): Promise<Record<'weights' | 'gradients' | 'optimizer' | 'activations', number>> {
  const memory = new TensorMemory();
  const nothing = memory.current;
  const base = loadModel(folder, { loadIn4bit: o.method === 'qlora' });
  const model = o.method === 'full' ? unfreeze(base) : addLora(base, { r: o.r, targetModules: o.targetModules, dropout: o.dropout });
  const optimizer = new AdamW(model.parameters, {
    ...adamwDefaults, optimizer: o.optimizer === 'paged-adamw-8bit' ? 'paged_adamw_8bit' : 'paged_adamw_32bit',
  });
  try {
    for (const parameter of model.parameters) parameter.tensor(); // on the device, as the step has them
    const held = memory.current;
    memory.resetPeak();
    const { gradients } = await lossAndGradients(model, batch, {
      pass: { training: true, seed: 1 }, scale: 1 / answerTokens([batch]), answersOnly: true,
      checkpointing: o.checkpointing !== 'none',
      segment: o.checkpointing === 'sqrt' ? Math.round(Math.sqrt(base.config.layers)) : 1,
    });
    const gradientBytes = memory.current - held;
    const fullest = memory.peak - held;
    optimizer.step(await readAll(gradients), 1e-4);
    tf.dispose(gradients);
    const in4bits = [...base.weights.values()].filter((weight) => weight instanceof QuantizedWeight);
    // No tensors: the 4 bits, and the host's copies of what learns.
    const outside = [...in4bits, ...model.parameters].reduce((sum, { bytes }) => sum + bytes, 0);
    return {
      weights: held - nothing + outside, gradients: gradientBytes, optimizer: optimizer.stats.totalBytes,
      activations: fullest - gradientBytes,
    };
  } finally {
    optimizer.close();
    disposeTrained(model);
    memory.close();
  }
}

/** Tokens at random; those of the second half of each sequence are predicted. */
function randomBatch({ batchSize, sequence }: PlanOptions, vocabSize: number): Batch {
  const random = new Random(1);
  const tokens = Int32Array.from({ length: batchSize * sequence }, () => random.below(vocabSize));
  const isPredicted = (i: number) => i % sequence >= sequence / 2 && i % sequence < sequence - 1;
  const labels = tokens.map((_, i) => (isPredicted(i) ? tokens[i + 1]! : IGNORED));
  return { tokens, labels, lengths: new Array<number>(batchSize).fill(sequence), batchSize, seqLength: sequence };
}
