import { beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { addLora } from '../../src/peft/lora.ts';
import { unfreeze } from '../../src/peft/trainable.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { findLearningRate } from '../../src/train/finder.ts';
import type { FinderPoint } from '../../src/train/finder.ts';
import { train } from '../../src/train/train.ts';
import { userErrorFrom } from '../temporary.ts';
import { tinyBase, tinyConfig, tinyExamples, tinyTokenizer } from '../tiny.ts';

beforeAll(() => useBackend('wasm'));

const data = { tokenizer: tinyTokenizer, train: tinyExamples(20), heldOut: [] };
const model = () => addLora(tinyBase(), { r: 4, alpha: 8, dropout: 0 });

describe('the learning-rate finder', () => {
  it('climbs by the same factor, tells each point, and puts the parameters back', async () => {
    const trained = model();
    const told: FinderPoint[] = [];
    const climb = { steps: 11, highest: 0.01 };
    const { points } = await findLearningRate(trained, data, { batchSize: 4 }, climb, (point) => told.push(point));
    expect(told).toEqual(points);
    points.forEach(({ learningRate }, i) => expect(learningRate / 10 ** (i / 2 - 7)).toBeCloseTo(1, 9));
    expect(points[0]!.smoothLoss).toBeCloseTo(points[0]!.loss, 9);
    expect(points[1]!.smoothLoss).toBeCloseTo((0.8 * points[0]!.loss + points[1]!.loss) / 1.8, 9);
    trained.parameters.forEach(({ values, name }, i) => expect(values, name).toEqual(model().parameters[i]!.values));
  });

  it('puts back what the method itself has come to know', async () => {
    const state = new Map([['importance', Float32Array.of(1, 2)]]);
    const afterStep = () => state.get('importance')!.fill(0);
    await findLearningRate({ ...model(), hooks: { afterStep, state } }, data, { batchSize: 4 }, { steps: 2 });
    expect(state.get('importance')).toEqual(Float32Array.of(1, 2));
  });

  it('stops where the loss takes off, and suggests a rate under that, which learns', async () => {
    const all = () => unfreeze(tinyBase()); // with norms that grow, the loss has no ceiling
    const { points, suggestion } = await findLearningRate(all(), data, { batchSize: 4 }, { steps: 40, highest: 10 });
    const smooth = points.map(({ smoothLoss }) => smoothLoss);
    expect(points.length).toBeLessThan(40);
    expect(smooth.at(-1)!).toBeGreaterThan(3 * Math.min(...smooth));
    expect(smooth.at(-2)!).toBeLessThanOrEqual(3 * Math.min(...smooth));
    expect(suggestion).toBeLessThan(points.at(-1)!.learningRate / 3);
    // The points lie at equal steps of the logarithm: the fall over a quarter of a decade to each side is the slope.
    const around = Math.round((40 - 1) / 5 / 4);
    const falls = smooth.slice(2 * around).map((loss, i) => loss - smooth[i]!);
    expect(suggestion).toBe(points[around + falls.indexOf(Math.min(...falls))]!.learningRate);
    const losses: number[] = [];
    for await (const event of train(all(), data, { batchSize: 4, epochs: 6, learningRate: suggestion })) {
      if (event.type === 'step') losses.push(event.loss);
    }
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    expect(mean(losses.slice(-5))).toBeLessThan(mean(losses.slice(0, 5)));
  });

  it('says so when it is stopped before its first step', async () => {
    const stopped = findLearningRate(model(), data, { batchSize: 4, signal: AbortSignal.abort() });
    await userErrorFrom(stopped, 'tasa de aprendizaje');
  });

  it('ends at a loss that is no number, and does not hide another mistake', async () => {
    const { points } = await findLearningRate(model(), data, { batchSize: 4 }, { steps: 12, highest: 1e38 });
    expect(points.length).toBeLessThan(12);
    const tokenizer = { ...tinyTokenizer, vocabSize: tinyConfig.vocabSize + 1 };
    await userErrorFrom(findLearningRate(model(), { ...data, tokenizer }), 'tokenizador');
    const afterStep = (step: number) => {
      if (step === 3) throw new UserError('La GPU ha dejado de responder.');
    };
    await userErrorFrom(findLearningRate({ ...model(), hooks: { afterStep } }, data), 'La GPU');
  });
});
