import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { hasTensorflow, useBackend } from '../../src/tensor/backend.ts';
import { passed } from '../../src/tensor/native.ts';
import { noLibrary } from '../backend.ts';

describe.runIf(hasTensorflow())(`tensors whose values pass through the same memory${noLibrary}`, () => {
  beforeAll(() => useBackend('tensorflow'));

  it('keep their own, whatever passes after them', () => {
    const made = [1, 2, 3].map((value) => passed([2, 3], 'float32', (values) => values.fill(value)));
    const whole = passed([4], 'int32', (values) => values.set([4, 5, 6, 7]));
    made.forEach((tensor, i) => expect([...tensor.dataSync()]).toEqual(new Array<number>(6).fill(i + 1)));
    expect(made[1]!.shape).toEqual([2, 3]);
    expect([...whole.dataSync()]).toEqual([4, 5, 6, 7]);
    tf.dispose([...made, whole]);
  });
});
