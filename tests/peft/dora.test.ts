import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { inference, LlamaModel, logits } from '../../src/model/llama.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { Lora, LoraOptions } from '../../src/peft/lora.ts';
import { dequantize, quantize } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';
import type { TrainEvent } from '../../src/runs/events.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { dropout } from '../../src/tensor/dropout.ts';
import { train } from '../../src/train/train.ts';
import { testBackend } from '../backend.ts';
import { temporaryFolder } from '../temporary.ts';
import { tinyBase, tinyConfig, tinyExamples, tinyTokenizer } from '../tiny.ts';
import { plusUpdate } from '../../src/tensor/linear.ts';
import { valuesOf } from '../../src/tensor/read.ts';

beforeAll(() => useBackend(testBackend('wasm')));
const at = temporaryFolder();

const path = 'model.layers.0.self_attn.q_proj';
const scaling = 3;
const options: Partial<LoraOptions> = { r: 2, alpha: 2 * scaling, dropout: 0, useDora: true };

function moved(model: PeftModel<Lora>): PeftModel<Lora> {
  const random = new Random(7);
  for (const parameter of model.parameters) {
    parameter.values.forEach((value, i) => (parameter.values[i] = value + 0.3 * random.normal()));
    parameter.upload();
  }
  return model;
}

/** The tiny base with its matrices in 4 bits. */
function base4bit(): LlamaModel {
  const { config, weights } = tinyBase();
  return new LlamaModel(config, new Map([...weights].map(([name, weight]) => [name, name.includes('_proj')
    ? new QuantizedWeight(quantize(weight.tensor().dataSync<'float32'>(), [...weight.shape], { doubleQuant: true }))
    : weight])));
}

/** W, A, B and m of one layer, and m / ‖W + s·BA‖ of each of its rows, in plain numbers. */
function partsOf({ base, parameters }: PeftModel<Lora>) {
  const weight = base.weights.get(`${path}.weight`)!;
  const w = weight instanceof QuantizedWeight ? dequantize(weight.quantized) : weight.tensor().dataSync<'float32'>();
  const [a, b, m] = ['lora_A.weight', 'lora_B.weight', 'lora_magnitude_vector']
    .map((part) => parameters.find(({ name }) => name === `${path}.${part}`)!.values) as [Float32Array, Float32Array, Float32Array];
  const size = tinyConfig.hiddenSize;
  const row = (o: number) => Array.from({ length: size }, (_, i) =>
    w[o * size + i]! + scaling * (b[o * 2]! * a[i]! + b[o * 2 + 1]! * a[size + i]!));
  return {
    row, w: (o: number) => [...w.subarray(o * size, (o + 1) * size)],
    factor: (o: number) => m[o]! / Math.hypot(...row(o)), size,
  };
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const x = Array.from({ length: 8 }, (_, i) => Math.sin(i + 1));

function applied({ base, adapter }: PeftModel, pass = inference): number[] {
  return tf.tidy(() => [...adapter.apply(path, tf.tensor2d([x]), (x, update) => {
    const y = tf.matMul(x, base.weight(`${path}.weight`).tensor() as tf.Tensor2D, false, true) as tf.Tensor2D;
    return update ? plusUpdate(y, update) : y;
  }, pass).dataSync()]);
}

describe('DoRA', () => {
  it('begins as the base, with a magnitude for each row', () => {
    const ids = Int32Array.of(0, 3, 4, 5);
    const base = tinyBase();
    const answers = () => [...valuesOf(() => logits(base, ids, 1))];
    const plain = answers();
    const { parameters } = addLora(base, options);
    expect(parameters.filter(({ name }) => name.endsWith('.lora_magnitude_vector'))).toHaveLength(14);
    answers().forEach((value, i) => expect(value).toBeCloseTo(plain[i]!, 5));
  });

  it.each([['wide', tinyBase], ['4-bit', base4bit]])('is m / ‖W + s·BA‖ · (W + s·BA) x, on a %s base', (_name, base) => {
    const model = moved(addLora(base(), options));
    const { row, factor } = partsOf(model);
    applied(model).forEach((y, o) => expect(y).toBeCloseTo(factor(o) * dot(row(o), x), 4));
    const merged = tf.tidy(() => model.adapter.merged(path).arraySync());
    merged.forEach((values, o) => values.forEach((value, i) => expect(value).toBeCloseTo(factor(o) * row(o)[i]!, 4)));
  });

  it.each(['lora_A', 'lora_B'])('takes the norm of A and B as they are now, if only %s has changed', (part) => {
    const model = moved(addLora(tinyBase(), options));
    const before = applied(model);
    moved({ ...model, parameters: model.parameters.filter(({ name }) => name.includes(part)) });
    const { row, factor } = partsOf(model);
    expect(applied(model)).not.toEqual(before);
    applied(model).forEach((y, o) => expect(y).toBeCloseTo(factor(o) * dot(row(o), x), 4));
  });

  it('drops out what it changes of the frozen product, and not that product itself, as PEFT', () => {
    const model = moved(addLora(tinyBase(), { ...options, dropout: 0.5 }));
    const { row, factor, w } = partsOf(model);
    const seed = 11;
    const kept = tf.tidy(() => [...dropout(tf.tensor2d([x]), 0.5, seed, path).dataSync()]);
    expect(kept).not.toEqual(x);
    applied(model, { training: true, seed }).forEach((y, o) => {
      const update = dot(row(o), kept) - dot(w(o), kept);
      expect(y).toBeCloseTo(dot(w(o), x) + (factor(o) - 1) * dot(w(o), kept) + factor(o) * update, 4);
    });
  });

  it('learns, and resumes to the losses of a run that was not stopped', async () => {
    const data = { tokenizer: tinyTokenizer, train: tinyExamples(20), heldOut: [] };
    const settings = { batchSize: 4, epochs: 3, learningRate: 0.02, pageBytes: 512, residentBytes: 1024 };
    const model = () => addLora(base4bit(), { r: 4, alpha: 8, dropout: 0.1, useDora: true });
    const losses = async (more: object, onEvent = (_event: TrainEvent) => {}) => {
      const found: number[] = [];
      for await (const event of train(model(), data, { ...settings, ...more })) {
        if (event.type === 'step') found.push(event.loss);
        onEvent(event);
      }
      return found;
    };
    const whole = await losses({});
    expect(whole.at(-1)!).toBeLessThan(whole[0]! * 0.9);
    const stop = new AbortController();
    const checkpointFile = at('checkpoint.safetensors');
    await losses({ checkpointFile, signal: stop.signal }, (event) => {
      if (event.type === 'step' && event.step === 6) stop.abort();
    });
    expect(await losses({ checkpointFile, resume: true })).toEqual(whole);
  });
});
