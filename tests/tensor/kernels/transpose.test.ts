import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { useBackend } from '../../../src/tensor/backend.ts';
import { transpose } from '../../../src/tensor/kernels/transpose.ts';

describe('the WASM transpose', () => {
  beforeAll(() => useBackend('wasm'));

  it.each([[1, 1], [4, 4], [8, 12], [5, 7], [3, 16], [16, 3], [13, 6], [256, 640]])('of %d × %d', (rows, columns) => {
    tf.tidy(() => {
      const x = tf.range(0, rows * columns).reshape([rows, columns]) as tf.Tensor2D;
      const turned = transpose(x);
      expect(turned.shape).toEqual([columns, rows]);
      expect(turned.dataSync()).toEqual(x.transpose().dataSync());
    });
  });
});
