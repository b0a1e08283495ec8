import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/checkpoint/safetensors.ts';
import { logits } from '../../src/model/llama.ts';
import { generate } from '../../src/model/generate.ts';
import { loadModel } from '../../src/model/load.ts';
import { QuantizedWeight } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';

const folder = 'tests/golden/bnb-4bit-tiny';
const reference = readSafetensors(join(folder, 'reference.safetensors'));
// By NumPy in float64; logits.py tells why bitsandbytes' own differ, and by how much.
const expected = readSafetensors(join(folder, 'logits.safetensors')).float32('logits'); // (24, 320)

function ids(): Int32Array {
  const bytes = reference.bytes('input_ids');
  return new Int32Array(new Uint8Array(bytes).buffer);
}

describe.each(['cpu', 'wasm'] as const)('a checkpoint written by bitsandbytes, on %s', (backend) => {
  beforeAll(() => useBackend(backend));

  it('gives the logits of its dequantised weights', async () => {
    const model = loadModel(folder);
    expect([...model.weights.values()].filter((weight) => weight instanceof QuantizedWeight)).toHaveLength(14);
    const ours = tf.tidy(() => logits(model, ids(), 1).dataSync<'float32'>());
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
    // An end token that the model never chooses, so that every answer has its full length.
    expect(await generate(model, prompts, { maxNewTokens: 5, eosId: -1 })).toEqual(slowly);
    expect(tf.memory().numTensors).toBe(before);
    const [first] = await generate(model, [prompts[0]!], { maxNewTokens: 5, eosId: slowly[0]![2]! });
    expect(first).toEqual(slowly[0]!.slice(0, slowly[0]!.indexOf(slowly[0]![2]!)));
    model.dispose();
  });
});
