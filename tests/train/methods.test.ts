import { beforeAll, describe, expect, it } from 'vitest';
import { logits } from '../../src/model/llama.ts';
import { loadModel } from '../../src/model/load.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { loadAdapter, saveAdapter } from '../../src/peft/folder.ts';
import { addLora } from '../../src/peft/lora.ts';
import { addAdapter, methodNames } from '../../src/peft/methods.ts';
import type { MethodName } from '../../src/peft/methods.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { train } from '../../src/train/train.ts';
import type { TrainOptions } from '../../src/train/train.ts';
import { smallConfig, writeSmallModel } from '../small-model.ts';
import { temporaryFolder } from '../temporary.ts';
import { tinyExamples, tinyTokenizer } from '../tiny.ts';

const at = temporaryFolder();

const config = { ...smallConfig, vocabSize: 16, layers: 1, hiddenSize: 32, intermediateSize: 32, headDim: 8 };
const tokenizer = { ...tinyTokenizer, vocabSize: config.vocabSize };
const base = () => loadModel(at('model'), { loadIn4bit: true });

beforeAll(async () => {
  await useBackend('cpu');
  writeSmallModel(at('model'), config);
  for (const seed of [1, 2]) {
    const expert = addLora(base(), { r: 2, seed });
    for (const { values } of expert.parameters) values.forEach((_, i) => (values[i] = 0.2 * Math.sin(seed + i)));
    saveAdapter(expert, at(`expert-${seed}`), { baseModel: 'model' });
  }
});

function make(method: MethodName, dropout = 0.1): PeftModel {
  return addAdapter(base(), {
    method, r: 2, experts: 3, dropout, initR: 3, tinit: 1, tfinal: 2, adapters: [at('expert-1'), at('expert-2')],
  });
}

async function losses(model: PeftModel, options: Partial<TrainOptions>, stopAt = Infinity): Promise<number[]> {
  const interruption = new AbortController();
  const events: TrainEvent[] = [];
  const data = { tokenizer, train: tinyExamples(16), heldOut: [] };
  const given = { batchSize: 4, learningRate: 0.02, pageBytes: 1024, residentBytes: 2048, ...options };
  for await (const event of train(model, data, { ...given, signal: interruption.signal })) {
    events.push(event);
    if (event.type === 'step' && event.step === stopAt) interruption.abort();
  }
  return events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe.each(methodNames)('%s on a base in 4 bits', (method) => {
  it('learns by pages of the optimizer, and gives the same losses for the same seed', async () => {
    const first = await losses(make(method), { epochs: 6 });
    expect(mean(first.slice(-4))).toBeLessThan(mean(first.slice(0, 4)));
    expect(await losses(make(method), { epochs: 6 })).toEqual(first);
  });

  it('has the same losses with the blocks computed again and with all kept', async () => {
    const again = await losses(make(method), { epochs: 2 });
    const kept = await losses(make(method), { epochs: 2, checkpointing: false });
    again.forEach((loss, i) => expect(loss).toBeCloseTo(kept[i]!, 5));
  });

  it.each(['paged_adamw_32bit', 'paged_adamw_8bit'] as const)(
    'interrupted, resumes to the losses and the parameters of a run that was not (%s)', async (optimizer) => {
      const [whole, second] = [make(method), make(method)];
      const uninterrupted = await losses(whole, { epochs: 2, optimizer });
      const checkpointFile = at(`${method}-${optimizer}.safetensors`);
      await losses(make(method), { epochs: 2, optimizer, checkpointFile }, 3);
      expect(await losses(second, { epochs: 2, optimizer, checkpointFile, resume: true })).toEqual(uninterrupted);
      second.parameters.forEach(({ values }, i) => expect(values).toEqual(whole.parameters[i]!.values));
    });

  it('is saved, and read back answers the same', async () => {
    const model = make(method);
    await losses(model, { epochs: 1 });
    saveAdapter(model, at(method), { baseModel: 'model' });
    const tokens = Int32Array.from([0, 5, 7, 3]);
    const answer = (trained: PeftModel) => logits(trained.base, tokens, 1).dataSync();
    const read = answer(loadAdapter(base(), at(method)));
    answer(model).forEach((logit, i) => expect(read[i]).toBeCloseTo(logit, 5));
  });
});
