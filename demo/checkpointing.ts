import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { makeBatch } from '../src/data/batches.ts';
import { formatBytes, formatNumber } from '../src/format.ts';
import { loadModel } from '../src/model/load.ts';
import { addLora } from '../src/peft/lora.ts';
import { TensorMemory } from '../src/tensor/memory.ts';
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
}

/** Slide 8: one step of the demo, with and without gradient checkpointing. */
export async function checkpointing(
  modelDir: string, data: DataOptions, { batchSize, repeats = 5 }: { batchSize: number; repeats?: number },
  show: (line: string) => void,
): Promise<CheckpointingResult> {
  const model = addLora(loadModel(modelDir, { loadIn4bit: true }));
  const { tokenizer, train } = await loadInstructions(modelDir, data);
  const batch = makeBatch(train.slice(0, batchSize), tokenizer.padId);
  const answerTokens = batch.labels.filter((label) => label >= 0).length;
  const memory = new TensorMemory();
  const pass = { training: true, seed: 42 };
  const scale = 1 / answerTokens;

  // #region checkpointing
  const step = (checkpointing: boolean) => {
    memory.resetPeak();
    const [before, began] = [memory.current, performance.now()];
    const result = lossAndGradients(model, batch, { checkpointing, pass, scale });
    const seconds = (performance.now() - began) / 1000;
    return { ...result, peakBytes: memory.peak - before, seconds };
  };
  // #endregion

  const runs = { with: [] as ReturnType<typeof step>[], without: [] as ReturnType<typeof step>[] };
  for (let i = 0; i < repeats + 1; i++) { // in turn, so that a slow moment of the machine touches both
    for (const way of ['with', 'without'] as const) {
      const result = step(way === 'with');
      const cost = `${formatBytes(result.peakBytes)}, ${formatNumber(result.seconds, 2, true)} s`;
      show(`${way === 'with' ? 'recomputando' : 'sin recomputar'}: ${cost}${i === 0 ? ' (calienta)' : ''}`);
      await new Promise(setImmediate); // whoever listens is told now, not at the end
      if (i > 0) runs[way].push(result); // the first of each warms up
      if (i < repeats) result.gradients.forEach((gradient) => gradient.dispose());
    }
  }
  memory.close();
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const cost = (results: ReturnType<typeof step>[]): StepCost => ({
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
  return {
    with: { ...cost(runs.with), keptBytes: checkpointed.checkpointBytes },
    without: cost(runs.without),
    batchSize: batch.batchSize,
    seqLength: batch.seqLength,
    largestGradientDifference: difference / largest,
  };
}
