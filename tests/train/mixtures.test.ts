import { beforeAll, describe, expect, it } from 'vitest';
import { addAdaMix } from '../../src/peft/adamix.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { addLora } from '../../src/peft/lora.ts';
import { addRouter } from '../../src/peft/router.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { train } from '../../src/train/train.ts';
import type { TrainOptions } from '../../src/train/train.ts';
import { temporaryFolder } from '../temporary.ts';
import { tinyBase, tinyExamples, tinyTokenizer } from '../tiny.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();

function expert(seed: number) {
  const { adapter } = addLora(tinyBase(), { r: 2, seed });
  for (const { values } of adapter.parameters) values.forEach((_, i) => (values[i] = 0.2 * Math.sin(seed + i)));
  return adapter;
}

const models: Record<string, () => PeftModel> = {
  adamix: () => addAdaMix(tinyBase(), { r: 2, experts: 3, dropout: 0.1 }),
  router: () => addRouter(tinyBase(), [expert(1), expert(2)]),
};

async function losses(model: PeftModel, options: Partial<TrainOptions>, stopAt = Infinity): Promise<number[]> {
  const interruption = new AbortController();
  const events: TrainEvent[] = [];
  const data = { tokenizer: tinyTokenizer, train: tinyExamples(16), heldOut: [] };
  const given = { batchSize: 4, learningRate: 0.05, pageBytes: 4096, residentBytes: 8192, ...options };
  for await (const event of train(model, data, { ...given, signal: interruption.signal })) {
    events.push(event);
    if (event.type === 'step' && event.step === stopAt) interruption.abort();
  }
  return events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
}

describe.each(Object.keys(models))('%s in the training loop', (name) => {
  const model = models[name]!;

  it('learns, by pages of the optimizer, and gives the same losses for the same seed', async () => {
    const first = await losses(model(), { epochs: 8 });
    const mean = (part: number[]) => part.reduce((a, b) => a + b, 0) / part.length;
    expect(mean(first.slice(-4))).toBeLessThan(mean(first.slice(0, 4)));
    expect(await losses(model(), { epochs: 8 })).toEqual(first);
  });

  it('resumes to the losses and the parameters of a run that was not interrupted', async () => {
    const [whole, second] = [model(), model()];
    const uninterrupted = await losses(whole, { epochs: 2 });
    const checkpointFile = at(`${name}.safetensors`);
    await losses(model(), { epochs: 2, checkpointFile }, 3);
    expect(await losses(second, { epochs: 2, checkpointFile, resume: true })).toEqual(uninterrupted);
    second.parameters.forEach(({ values }, i) => expect(values).toEqual(whole.parameters[i]!.values));
  });
});
