import { beforeAll, describe, expect, it } from 'vitest';
import type { RopeScaling } from '../../src/model/config.ts';
import { rotaryFrequencies, rotaryTables } from '../../src/model/rotary.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { valuesOf } from '../../src/tensor/read.ts';
import { testBackend } from '../backend.ts';
import { tinyConfig } from '../tiny.ts';

/** Of a head of 16, θ = 100, trained on 32 positions and stretched to 128. */
const model = (ropeScaling?: RopeScaling) =>
  ({ ...tinyConfig, headDim: 16, ropeTheta: 100, maxPositions: 128, ...(ropeScaling && { ropeScaling }) });
const yarn = {
  type: 'yarn', factor: 4, originalMaxPositions: 32, betaFast: 4, betaSlow: 1, truncate: true, attentionFactor: 1.5,
} as const;
const plain = Array.from({ length: 8 }, (_, i) => 100 ** (-i / 8));

beforeAll(() => useBackend(testBackend('cpu')));

describe('the frequencies of the rotation', () => {
  // Of transformers' ROPE_INIT_FUNCTIONS, 5.18; from the fourth on all three stretch by the whole factor.
  it.each<[string, RopeScaling, number[]]>([
    ['yarn', yarn, [1, 0.421756, 0.158114]],
    ['yarn whose ramp does not begin at a pair', { ...yarn, truncate: false }, [1, 0.460703, 0.160589]],
    ['yarn whose ramp is a step', { ...yarn, truncate: false, betaSlow: 4 }, [1, 0.140585, 0.079057]],
    ['linear', { type: 'linear', factor: 4 }, [0.25, 0.140585, 0.079057]],
    ['llama3', { type: 'llama3', factor: 4, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 32 },
      [1, 0.402634, 0.127324]],
  ])('stretched by %s', (_name, scaling, first) => {
    const expected = [...first, ...plain.slice(3).map((frequency) => frequency / 4)];
    rotaryFrequencies(model(scaling), 1).forEach((frequency, i) => expect(frequency).toBeCloseTo(expected[i]!, 6));
  });

  it('fall as a text grows past what the model was trained on: dynamic alone', () => {
    const dynamic = model({ type: 'dynamic', factor: 2 });
    expect(rotaryFrequencies(dynamic, 128)).toEqual(plain);
    const longer = rotaryFrequencies(dynamic, 256); // θ · (2 · 256/128 − 1) ** (16/14)
    longer.forEach((frequency, i) => expect(frequency).toBeCloseTo((100 * 3 ** (16 / 14)) ** (-i / 8), 12));
    expect(rotaryFrequencies(model(), 256)).toEqual(plain);
  });
});

it('rotary tables turn each pair by its angle; YaRN\'s are longer by its factor', () => {
  const [, second] = rotaryFrequencies(model(yarn), 1);
  const { cos, sin } = rotaryTables(model(yarn), [0, 3]);
  const [cosines, sines] = [cos, sin].map((table) => valuesOf(() => table));
  for (const at of [1, 9]) { // of a pair, one in each half
    expect(cosines![at]).toBe(1.5);
    expect(cosines![16 + at]).toBeCloseTo(1.5 * Math.cos(3 * second!), 6);
    expect(sines![16 + at]).toBeCloseTo(1.5 * Math.sin(3 * second!), 6);
  }
});
