import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBfloat16 } from '../src/checkpoint/halves.ts';
import { writeSafetensors } from '../src/checkpoint/safetensors.ts';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions } from '../src/data/load.ts';
import { knownConfig } from '../src/distributed/known.ts';
import { bytesOfTrained, plan, planDefaults } from '../src/distributed/planner.ts';
import type { PlanOptions } from '../src/distributed/planner.ts';
import { modelSize } from '../src/distributed/size.ts';
import { formatBytes, formatNumber, formatPercent } from '../src/format.ts';
import { weightShapes } from '../src/model/config.ts';
import { loadModel } from '../src/model/load.ts';
import { QuantizedWeight } from '../src/model/weights.ts';
import type { PeftModel } from '../src/peft/adapter.ts';
import { saveAdapter } from '../src/peft/folder.ts';
import { ia3Shapes } from '../src/peft/ia3.ts';
import { loraDefaults, loraShapes } from '../src/peft/lora.ts';
import { addAdapter } from '../src/peft/methods.ts';
import type { MethodName } from '../src/peft/methods.ts';
import { countParameters, disposeTrained, trainableParameters, unfreeze } from '../src/peft/trainable.ts';
import type { Trainable } from '../src/peft/trainable.ts';
import type { TrainEvent } from '../src/runs/events.ts';
import type { Tell } from '../src/runs/recorder.ts';
import { score } from '../src/train/evaluate.ts';
import type { Scores } from '../src/train/evaluate.ts';
import { runJobs } from '../src/train/pool.ts';
import { train } from '../src/train/train.ts';

export interface PeftSetting {
  readonly modelDir: string;
  readonly data: DataOptions;
  readonly steps: number;
  readonly batchSize: number;
}

export const peftSetting = { steps: 44, batchSize: 8 };

interface Way {
  readonly title: string;
  /** Undefined: every weight is trained. */
  readonly method?: MethodName;
  readonly loadIn4bit?: boolean;
  /** The rate at which this way learns best in so few steps. */
  readonly learningRate: number;
}

/** The slowest first: they are run side by side. */
const ways: readonly Way[] = [
  { title: 'full fine-tuning', learningRate: 5e-4 },
  { title: 'QLoRA', method: 'lora', loadIn4bit: true, learningRate: 3e-3 },
  { title: 'LoRA', method: 'lora', learningRate: 3e-3 },
  { title: 'IA3', method: 'ia3', learningRate: 1e-1 },
];

interface Cost {
  readonly title: string;
  readonly parameters: number;
  /** AdamW's two moments; measured, in whole pages of 64 KiB. */
  readonly optimizerBytes: number;
  /** What there is to keep of the training: an adapter, or the whole model in bf16. */
  readonly checkpointBytes: number;
  /** Base, adapter, gradients, optimizer and activations at the moment when there is most. */
  readonly peakBytes: number;
}

type WayResult = Cost & Scores;

/** One way of fine-tuning, trained and examined. */
export async function trainWay(
  { modelDir, data, steps, batchSize, title, method, loadIn4bit, learningRate }: PeftSetting & Way,
): Promise<WayResult> {
  // #region peft
  const base = loadModel(modelDir, { loadIn4bit: loadIn4bit ?? false });
  const model = method ? addAdapter(base, { method, r: 16, alpha: 16, dropout: 0 }) : unfreeze(base);
  const { heldOut, ...examples } = await loadInstructions(modelDir, data);
  let memory: Extract<TrainEvent, { type: 'memory' }> | undefined;
  const training = { steps, batchSize, learningRate, residentBytes: Number.MAX_SAFE_INTEGER };
  for await (const event of train(model, { ...examples, heldOut: [] }, training)) {
    if (event.type === 'memory') memory = event;
  }
  const scores = await score(model.base, heldOut, examples.tokenizer);
  // #endregion
  const packed = [...model.base.weights.values()].filter((weight) => weight instanceof QuantizedWeight);
  const { peakTensors, optimizer, adapter } = memory!;
  const result = {
    title, parameters: trainableParameters(model).trainable,
    optimizerBytes: optimizer, checkpointBytes: checkpointBytes(model, modelDir),
    // Beside the tensors: 4-bit codes, the optimizer's pages, and the parameters' master copies.
    peakBytes: peakTensors + packed.reduce((sum, { bytes }) => sum + bytes, 0) + optimizer + adapter,
    ...scores,
  };
  disposeTrained(model); // another job follows
  return result;
}

/** Bytes of what a training leaves to be kept, as written. */
function checkpointBytes(model: Trainable | PeftModel, modelDir: string): number {
  const folder = mkdtempSync(join(tmpdir(), 'peft-'));
  try {
    if ('adapter' in model) {
      saveAdapter(model, folder, { baseModel: modelDir });
      return statSync(join(folder, 'adapter_model.safetensors')).size;
    }
    const file = join(folder, 'model.safetensors');
    writeSafetensors(file, Object.fromEntries(model.parameters.map(({ name, shape, values }) =>
      [name, { dtype: 'BF16' as const, shape: [...shape], data: toBfloat16(values) }])), { format: 'pt' });
    return statSync(file).size;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same costs of a model of 7B, from its configuration alone: one GPU, a sequence of 2,048 tokens, checkpoints. */
export function costsAt7B(): Cost[] {
  const config = knownConfig('meta-llama/Llama-2-7b-hf')!;
  const size = modelSize(config);
  const lora = loraShapes(config, { ...loraDefaults, r: 16 });
  const ia3 = ia3Shapes(config);
  const cost = (title: string, options: Partial<PlanOptions>, shapes: ReadonlyMap<string, readonly number[]>): Cost => {
    const o = { ...planDefaults, ...options };
    const whole = o.method === 'full' ? size.parameters : countParameters(config, shapes).trainable;
    const planned = plan(size, o);
    const { weights, gradients, optimizer } = bytesOfTrained(o);
    return {
      title, parameters: whole, optimizerBytes: whole * optimizer,
      checkpointBytes: whole * (o.method === 'full' ? 2 : 4),
      // The planner counts LoRA's states: IA3's few stand in for them.
      peakBytes: planned.total + (whole - planned.trained) * (weights + gradients + optimizer),
    };
  };
  const rank1 = { method: 'lora', r: 1, targetModules: ['k_proj', 'v_proj', 'down_proj'] } as const;
  return [
    cost('full fine-tuning', { method: 'full' }, weightShapes(config)),
    cost('LoRA', { method: 'lora' }, lora),
    cost('IA3', rank1, ia3),
    cost('QLoRA', { method: 'qlora' }, lora),
  ];
}

/** Slide 2: the same task by full fine-tuning and by adapters, measured here; and what each would take at 7B. */
export async function peft(setting: PeftSetting, tell: Tell): Promise<void> {
  tell.result({ at7B: costsAt7B() });
  const jobs = ways.map((way) => ({
    name: way.title, module: import.meta.url, run: 'trainWay', options: { ...setting, ...way } as never,
  }));
  const measured: WayResult[] = [];
  for await (const { result } of runJobs<WayResult>(jobs)) {
    measured.push(result);
    const { title, parameters, optimizerBytes, peakBytes, loss, exactMatch } = result;
    tell.line(`${title}: ${formatNumber(parameters)} parámetros, optimizador ${formatBytes(optimizerBytes)}, pico `
      + `${formatBytes(peakBytes)}; pérdida ${formatNumber(loss, 3, true)}, acierto ${formatPercent(exactMatch)}`);
    tell.result({ measured: [...measured].sort((a, b) => b.parameters - a.parameters) });
  }
}
