import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { logits } from '../../src/model/llama.ts';
import { generate } from '../../src/model/generate.ts';
import { loadModel } from '../../src/model/load.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackends } from '../backend.ts';

const folder = 'tests/golden/bnb-4bit-tiny';
const reference = readSafetensors(join(folder, 'reference.safetensors'));
// By NumPy in float64; logits.py tells why bitsandbytes' own differ, and by how much.
const expected = readSafetensors(join(folder, 'logits.safetensors')).float32('logits'); // (24, 320)

function ids(): Int32Array {
  const bytes = reference.bytes('input_ids');
  return new Int32Array(new Uint8Array(bytes).buffer);
}

describe.each(testBackends('cpu', 'wasm'))('a checkpoint written by bitsandbytes, on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('gives the logits of its dequantised weights', async () => {
    const model = loadModel(folder);
    expect([...model.weights.values()].filter((weight) => weight instanceof QuantizedWeight)).toHaveLength(14);
    const ours = valuesOf(() => logits(model, ids(), 1));
    const worst = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
    expect(ours).toHaveLength(24 * 320);
    expect(worst).toBeLessThan(1e-4);
    model.dispose();
  });

  it('continues prompts of unlike length as one token after another would', async () => {
    const model = loadModel(folder);
    const prompts = [[...ids().slice(0, 9)], [...ids().slice(3, 7)], [...ids().slice(5, 17)]];
    const slowly = prompts.map((prompt) => {
      const text = [...prompt];
      for (let i = 0; i < 5; i++) {
        const next = tf.tidy(() => logits(model, Int32Array.from(text), 1).argMax(1).dataSync());
        text.push(next[text.length - 1]!);
      }
      return text.slice(prompt.length);
    });
    const before = tf.memory().numTensors;
    expect(await generate(model, prompts, { maxNewTokens: 5, eosIds: [] })).toEqual(slowly);
    expect(tf.memory().numTensors).toBe(before);
    const [first] = await generate(model, [prompts[0]!], { maxNewTokens: 5, eosIds: [-1, slowly[0]![2]!] });
    expect(first).toEqual(slowly[0]!.slice(0, slowly[0]!.indexOf(slowly[0]![2]!)));
    model.dispose();
  });

  it('draws continuations that its seed decides, whoever stands beside them', async () => {
    const model = loadModel(folder);
    const prompts = [[...ids().slice(0, 9)], [...ids().slice(3, 7)], [...ids().slice(0, 9)]];
    const drawn = (seed: number, more: object = {}, batchSize = 3) =>
      generate(model, prompts, { maxNewTokens: 8, eosIds: [], batchSize, sampling: { seed, temperature: 2, ...more } });
    const greedy = await generate(model, prompts, { maxNewTokens: 8, eosIds: [] });
    const first = await drawn(1);
    expect(first).not.toEqual(greedy);
    expect(first[0]).not.toEqual(first[2]); // the same prompt twice draws two answers
    expect(await drawn(1, {}, 1)).toEqual(first);
    expect(await drawn(2)).not.toEqual(first);
    expect(await drawn(1, { topK: 1 })).toEqual(greedy);
    model.dispose();
  });
});
