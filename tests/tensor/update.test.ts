import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/random.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import type { BackendName } from '../../src/tensor/backend.ts';
import { plusUpdate } from '../../src/tensor/linear.ts';
import { hasAdapter, why } from './webgpu/adapter.ts';
import { stayWithinBounds } from './webgpu/bounds.ts';

const normal = (...shape: [number, number]): Tensor2D => {
  const random = Random.for(5, ...shape);
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()), shape);
};

/** rows, in, r, out: thin and wide, whole vectors and none, depths beyond what a workgroup takes at a time. */
const cases = [
  [1, 1, 1, 1], [7, 5, 3, 9], [130, 300, 16, 66], [3, 257, 64, 70], [66, 64, 1, 129], [5, 12, 20, 8], [2, 640, 4, 515],
] as const;
const scaling = 1.7;

type Update = (y: Tensor2D, x: Tensor2D, a: Tensor2D, b: Tensor2D) => Tensor2D;

/** Value and gradients with respect to y, x, a and b. */
function found(update: Update, [rows, input, r, out]: (typeof cases)[number]): Float32Array[] {
  return tf.tidy(() => {
    const given = [normal(rows, out), normal(rows, input), normal(r, input), normal(out, r)];
    const value = update(...given as [Tensor2D, Tensor2D, Tensor2D, Tensor2D]);
    const dy = normal(out, rows).reshape([rows, out]);
    return [value, ...tf.grads(update as unknown as (...given: Tensor[]) => Tensor)(given, dy)]
      .map((tensor) => tensor.dataSync<'float32'>().slice());
  });
}

const inPlainProducts: Update = (y, x, a, b) =>
  y.add(tf.matMul(tf.matMul(x, a, false, true), b, false, true).mul(scaling));

const backends: [BackendName, string, boolean][] = [['wasm', '', true], ['webgpu', why, hasAdapter]];

for (const [backend, because, isThere] of backends) {
  describe.runIf(isThere)(`LoRA's update on ${backend}${because}`, () => {
    const expected = new Map<unknown, Float32Array[]>();
    beforeAll(async () => {
      await useBackend('cpu');
      for (const shape of cases) expected.set(shape, found(inPlainProducts, shape));
      await useBackend(backend);
    });
    if (backend === 'webgpu') stayWithinBounds();

    it.each(cases.map((shape) => ({ shape })))('is that of plain products, and so are its gradients: %o', ({ shape }) => {
      const ours = found((y, x, a, b) => plusUpdate(y, { x, a, b, scaling }), shape);
      expected.get(shape)!.forEach((reference, i) => {
        const largest = reference.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        expect(ours[i]).toHaveLength(reference.length);
        expect(ours[i]!.reduce((worst, value, at) => Math.max(worst, Math.abs(value - reference[at]!)), 0))
          .toBeLessThan(1e-4 * largest);
      });
    });

    it('passes its gradient on to what has others, and leaves no tensor behind', () => {
      const before = tf.memory().numTensors;
      const twice: Update = (y, x, a, b) =>
        plusUpdate(y, { x, a, b, scaling }).add<Tensor2D>(y.mul(2)).add(plusUpdate(y, { x, a, b, scaling: 1 }));
      const plainly: Update = (y, x, a, b) => {
        const update = tf.matMul(tf.matMul(x, a, false, true), b, false, true);
        return y.mul(4).add(update.mul(scaling + 1));
      };
      const [ours, reference] = [found(twice, [3, 5, 2, 4] as never), found(plainly, [3, 5, 2, 4] as never)];
      reference.forEach((values, i) => values.forEach((value, at) => expect(ours[i]![at]).toBeCloseTo(value, 3)));
      expect(tf.memory().numTensors).toBe(before);
    });
  });
}
