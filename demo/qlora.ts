import { join } from 'node:path';
import { loadInstructions } from '../src/data/load.ts';
import type { DataOptions, InstructionData } from '../src/data/load.ts';
import { baseSize, loadModel } from '../src/model/load.ts';
import type { BaseSize, LoadOptions } from '../src/model/load.ts';
import { saveAdapter } from '../src/peft/folder.ts';
import { addAdapter } from '../src/peft/methods.ts';
import type { AdapterOptions } from '../src/peft/methods.ts';
import { trainableParameters } from '../src/peft/trainable.ts';
import type { ParameterCount } from '../src/peft/trainable.ts';
import type { TrainEvent } from '../src/runs/events.ts';
import { train } from '../src/train/train.ts';
import type { TrainOptions } from '../src/train/train.ts';

export interface QloraOptions {
  readonly modelDir: string;
  /** What the adapter calls its base, for whoever loads it: the folder if not said. */
  readonly baseModel?: string;
  readonly outDir: string;
  readonly quant: LoadOptions;
  readonly adapter: AdapterOptions;
  readonly data: DataOptions;
  readonly training: Partial<TrainOptions>;
}

/** Told what each of the four steps of the slide came to. */
export interface QloraShow {
  loaded(size: BaseSize): void;
  adapted(count: ParameterCount): void;
  data(data: InstructionData): void;
  event(event: TrainEvent): void;
  saved(folder: string): void;
}

/** Slide 10: QLoRA on Alpaca records, from the 4-bit base to the saved adapter. */
export async function qlora(
  { modelDir, baseModel = modelDir, outDir, ...options }: QloraOptions, show: QloraShow,
): Promise<void> {
  // #region qlora
  const base = loadModel(modelDir, { loadIn4bit: true, ...options.quant });
  show.loaded(baseSize(base));
  const model = addAdapter(base, { method: 'lora', r: 16, alpha: 16, dropout: 0.05, ...options.adapter });
  show.adapted(trainableParameters(model));
  const data = await loadInstructions(modelDir, options.data);
  show.data(data);
  let trained = false;
  try {
    for await (const event of train(model, data, { epochs: 1, ...options.training })) {
      trained ||= event.type === 'step';
      show.event(event);
    }
  } finally { // the last good adapter, whatever stopped the run; one that learnt nothing is not put over an older one
    if (trained) {
      saveAdapter(model, join(outDir, 'adapter'), { baseModel });
      show.saved(join(outDir, 'adapter'));
    }
  }
  // #endregion
}
