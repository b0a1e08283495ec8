import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { LlamaModel } from '../../src/model/llama.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import type { Weight } from '../../src/model/weights.ts';
import { addLora } from '../../src/peft/lora.ts';
import type { LoraOptions } from '../../src/peft/lora.ts';
import type { PeftModel } from '../../src/peft/adapter.ts';
import { quantize } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { useMixedPrecision } from '../../src/tensor/bfloat16.ts';
import type { Graphs } from '../../src/tensor/graph.ts';
import { NativeGraphs } from '../../src/tensor/native/graph.ts';
import { WebgpuGraphs } from '../../src/tensor/webgpu/graph.ts';
import { adamwDefaults, AdamW } from '../../src/train/adamw.ts';
import { lossAndGradients } from '../../src/train/gradients.ts';
import { noLibrary } from '../backend.ts';
import { hasAdapter, why } from '../tensor/webgpu/adapter.ts';
import { tinyBase, tinyBatch, tinyConfig } from '../tiny.ts';

/** The tiny base, its matrices in 4 bits, under adapters that change something. */
function model(options: Partial<LoraOptions> = {}): PeftModel {
  const dense = tinyBase();
  const weights = [...dense.weights].map(([name, weight]): [string, Weight] => (/(proj)\.weight$/.test(name)
    ? [name, new QuantizedWeight(quantize(weight.tensor().dataSync() as Float32Array, weight.shape))]
    : [name, weight]));
  const peft = addLora(new LlamaModel(tinyConfig, new Map(weights)), { r: 2, alpha: 4, dropout: 0.1, ...options });
  const random = new Random(3);
  for (const parameter of peft.parameters) {
    parameter.values.forEach((value, i) => (parameter.values[i] = value + 0.3 * random.normal()));
  }
  return peft;
}

/** The tiny batch, of a length that needs no padding. */
function longBatch(seed: number): ReturnType<typeof tinyBatch> {
  const { tokens, labels, lengths, batchSize, seqLength } = tinyBatch(seed);
  const widen = (values: Int32Array, filling: number) => Int32Array.from({ length: batchSize * 32 }, (_, i) =>
    (i % 32 < seqLength ? values[Math.floor(i / 32) * seqLength + i % 32]! : filling));
  return { tokens: widen(tokens, 0), labels: widen(labels, -100), lengths, batchSize, seqLength: 32 };
}

/** Losses of a few steps, each with another batch, another dropout and changed adapters. */
async function train(
  peft: PeftModel, graphs: Graphs | undefined, batchOf = longBatch,
): Promise<{ losses: number[]; last: Float32Array[] }> {
  const optimizer = new AdamW(peft.parameters, adamwDefaults);
  let last: Float32Array[] = [];
  const losses: number[] = [];
  for (const seed of [1, 2, 3, 4]) {
    const { loss, gradients } = await lossAndGradients(peft, batchOf(seed), {
      pass: { training: true, seed }, scale: 1 / 8, checkpointing: true, graphs,
    });
    last = gradients.map((gradient) => gradient.dataSync<'float32'>().slice());
    tf.dispose(gradients);
    optimizer.step(last, 0.01);
    losses.push(loss);
  }
  optimizer.close();
  return { losses, last };
}

/** Native TensorFlow is there after `npm run setup:tensorflow` only, and WebGPU after `npm run setup:webgpu`. */
const modes = [
  { backend: 'tensorflow', there: hasTensorflow(), why: noLibrary, make: () => new NativeGraphs() },
  { backend: 'webgpu', there: hasAdapter, why, make: () => new WebgpuGraphs() },
] as const;

describe.each(modes.map((mode) => [`${mode.backend}${mode.why}`, mode] as const))('on %s', (_, mode) => {
  const { backend, there, make } = mode;

  describe.runIf(there)('blocks as graphs', () => {
    beforeAll(() => useBackend(backend));

    it.each([
      ['LoRA with dropout', {}], ['rsLoRA', { useRslora: true }],
      ['other ranks in some layers', { rankPattern: { 'layers.1.self_attn.q_proj': 3 } }],
      ['two targets', { targetModules: ['q_proj', 'v_proj'] }],
      ['a trained head and norms', { modulesToSave: ['lm_head', 'embed_tokens', 'norm'] }],
    ] as [string, Partial<LoraOptions>][])('give the losses and gradients of the program itself: %s', async (_, options) => {
      const plain = await train(model(options), undefined);
      const graphs = make();
      const recorded = await train(model(options), graphs);
      expect(graphs.problems).toEqual(new Map());
      recorded.losses.forEach((loss, i) => expect(loss).toBeCloseTo(plain.losses[i]!, 5));
      recorded.last.forEach((gradient, i) =>
        gradient.forEach((value, j) => expect(value).toBeCloseTo(plain.last[i]![j]!, 4)));
      graphs.dispose();
    });

    it('leave a block that reads its values on the way as it is: DoRA', async () => {
      const plain = await train(model({ useDora: true }), undefined);
      const graphs = make();
      const recorded = await train(model({ useDora: true }), graphs);
      expect([...graphs.problems.keys()].sort()).toEqual(['backward', 'first backward', 'forward']);
      recorded.losses.forEach((loss, i) => expect(loss).toBeCloseTo(plain.losses[i]!, 5));
    });

    it('pad a batch to one of few lengths, which changes nothing', async () => {
      const plain = await train(model({ dropout: 0 }), undefined, tinyBatch);
      const graphs = make();
      const recorded = await train(model({ dropout: 0 }), graphs, tinyBatch);
      recorded.losses.forEach((loss, i) => expect(loss).toBeCloseTo(plain.losses[i]!, 5));
      graphs.dispose();
    });

    it('leave no tensor behind', async () => {
      const peft = model();
      const graphs = make();
      await train(peft, graphs);
      const before = tf.memory().numTensors;
      await train(peft, graphs);
      expect(tf.memory().numTensors).toBe(before);
      graphs.dispose();
    });
  });

  /** Fewer numbers TensorFlow.js would leave to the processor. */
  const MANY = 1200;

  describe.runIf(there)('a function that cannot be a graph', () => {
    beforeAll(() => useBackend(backend));

    it.each([
      ['comes from outside unannounced', () => {
        const held = tf.ones([MANY]).square();
        return (x: tf.Tensor) => x.add(held);
      }],
      [`numbers of shape [${MANY}] are written into it`, () => (x: tf.Tensor) => x.add(tf.tensor1d(new Float32Array(MANY).fill(2)))],
      ['it reads values', () => (x: tf.Tensor) => x.mul(x.max().dataSync()[0]!)],
    ] as const)('runs as it is, and says why: %s', (problem, makeFunction) => {
      const f = makeFunction();
      const graphs = make();
      for (const scale of [1, 2]) {
        const x = tf.range(0, MANY).mul(scale);
        const [y] = graphs.run({ name: 'f', member: 0, args: [x], seed: 0 }, () => [f(x)]);
        expect(y!.dataSync()).toEqual(f(x).dataSync());
      }
      expect(graphs.problems.get('f')).toContain(problem);
    });
  });
});

describe.runIf(hasTensorflow())(`blocks as graphs, on native TensorFlow alone${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));

  it('multiply in bfloat16 where that is asked for: the losses within 2%', async () => {
    const plain = await train(model(), undefined);
    useMixedPrecision(true);
    try {
      const graphs = new NativeGraphs();
      const recorded = await train(model(), graphs);
      expect(graphs.problems).toEqual(new Map());
      recorded.losses.forEach((loss, i) => {
        expect(loss).not.toBe(plain.losses[i]);
        expect(Math.abs(loss / plain.losses[i]! - 1)).toBeLessThan(0.02);
      });
      graphs.dispose();
    } finally {
      useMixedPrecision(false);
    }
  });
});
