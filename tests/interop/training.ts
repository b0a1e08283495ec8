import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../src/checkpoint/safetensors.ts';
import type { TensorData } from '../../src/checkpoint/safetensors.ts';
import { epochOrder } from '../../src/data/batches.ts';
import { loadInstructions } from '../../src/data/load.ts';
import type { LlamaModel } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import { saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { train } from '../../src/train/train.ts';
import { largestDifference } from './comparison.ts';
import type { Comparison } from './comparison.ts';

/** Fifty steps of the demo, without dropout and without warm-up, on the wide base and on the base in NF4. */
const base = 'assets/model';
const variants = ['fp32', 'nf4'];
const options = { batchSize: 8, learningRate: 3e-3, warmup: 0, schedule: 'cosine', clip: 1, weightDecay: 0.01, seed: 42 } as const;
const steps = 50;

export const training: Comparison = {
  async ours(folder) {
    const data = await loadInstructions(base, {
      files: ['assets/data/alpaca_es.json'], examples: steps * options.batchSize, template: 'es', maxLength: 256,
      heldOutFiles: ['assets/data/heldout_es.json'], heldOut: 0, seed: options.seed,
    });
    const order = epochOrder(data.train.length, options.seed, 0).map((index) => data.train[index]!);
    writeFileSync(join(folder, 'training.json'), JSON.stringify({
      variants, steps, ...options,
      examples: order.map(({ tokens, promptLength }) => ({ tokens: [...tokens], promptLength })),
    }));
    for (const variant of variants) {
      const model = loadModel(base, { loadIn4bit: variant === 'nf4' });
      saveWide(model, join(folder, variant, 'base'));
      const adapted = addLora(model, { r: 16, alpha: 16, dropout: 0 });
      saveAdapter(adapted, join(folder, variant, 'start'), { baseModel: base });
      const losses: number[] = [];
      for await (const event of train(adapted, data, options)) if (event.type === 'step') losses.push(event.loss);
      writeFileSync(join(folder, variant, 'ours.json'), JSON.stringify(losses));
      model.dispose();
    }
  },
  async compare(folder) {
    return variants.map((variant) => {
      const losses = (whose: string) =>
        JSON.parse(readFileSync(join(folder, variant, `${whose}.json`), 'utf8')) as number[];
      const [ours, theirs] = [losses('ours'), losses('theirs')];
      const span = `${ours[0]!.toFixed(2)} → ${ours.at(-1)!.toFixed(2)}`.replaceAll('.', ',');
      return {
        what: `${steps} pasos sobre la base en ${variant} (pérdida ${span})`, limit: 1e-3,
        measured: largestDifference(ours, theirs),
      };
    });
  },
};

/** The base as a checkpoint of float32, what is in 4 bits dequantised. */
function saveWide(model: LlamaModel, folder: string): void {
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(base, 'config.json'), join(folder, 'config.json'));
  const tensors: Record<string, TensorData> = {};
  for (const [name, weight] of model.weights) {
    tensors[name] = { dtype: 'F32', shape: weight.shape, data: valuesOf(() => weight.tensor()) };
  }
  writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
}
