import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usedAdapter } from '../../../src/tensor/webgpu/device.ts';
import type { MatrixUnit } from '../../../src/tensor/webgpu/device.ts';
import { matmul } from '../../../src/tensor/webgpu/matmul.ts';
import { unitTiles, useHalves, useMatrixUnits, useUnitTile } from '../../../src/tensor/webgpu/tiles.ts';
import { hasAdapter, why } from './adapter.ts';
import { stayWithinBounds } from './bounds.ts';
import { cases, normal, useReferences } from './cases.ts';
import { emulateUnit, oblongCore, tensorCore } from './emulated-units.ts';

describe.runIf(hasAdapter)(`the WGSL kernels that multiply${why}`, () => {
  const multiplying = cases.filter(([name]) => / layer/.test(name));
  const { expectReference, expectProducts } = useReferences(multiplying);
  stayWithinBounds();

  const isOffered = hasAdapter && usedAdapter()!.features.includes('shader-f16');
  const noHalves = isOffered || !hasAdapter ? '' : ' [el adaptador no ofrece shader-f16]';
  describe.runIf(isOffered)(`in half precision${noHalves}`, () => {
    beforeAll(() => useHalves(true));
    afterAll(() => useHalves(undefined));

    it.each(multiplying)('%s: as the reference to 1e-2', (name, found) => expectReference(name, found, 1e-2));
  });

  /** @param unit one to be emulated, in place of the device's own */
  const useUnits = (unit?: MatrixUnit) => {
    let withdraw = () => {};
    beforeAll(() => {
      if (unit) withdraw = emulateUnit(unit);
      useMatrixUnits(true);
    });
    afterAll(() => {
      withdraw();
      useMatrixUnits(undefined);
      useUnitTile(undefined);
    });
  };
  const testUnitTiles = () => it.each(Object.entries(unitTiles))('multiply by %s workgroups, both ways', (_, tile) => {
    useUnitTile(tile);
    expectProducts(1);
  });
  const testUnits = () => {
    it.each(multiplying)('%s: as the reference to 1e-2', (name, found) => expectReference(name, found, 1e-2));

    testUnitTiles();

    it('lose nothing of gradients that float16 cannot hold, however rows differ', () => {
      tf.tidy(() => {
        const sizes = tf.tensor2d(Array.from({ length: 40 }, (_, i) => 10 ** (10 - i)), [40, 1]);
        const [dy, w] = [normal(40, 64).mul<Tensor2D>(sizes), normal(64, 48) as Tensor2D];
        const ours = matmul(dy, w).div(sizes).dataSync();
        useMatrixUnits(false);
        const exact = matmul(dy, w).div(sizes).dataSync();
        useMatrixUnits(true);
        exact.forEach((value, i) => expect(ours[i]).toBeCloseTo(value, 1));
      });
    });
  };
  const hasUnits = hasAdapter && usedAdapter()!.units.length > 0;
  describe.runIf(hasUnits)(`by matrix units${hasUnits || !hasAdapter ? '' : ' [el adaptador no ofrece matrices de subgrupo]'}`, () => {
    useUnits();
    testUnits();
  });
  describe.runIf(isOffered)(`by emulated units of 16 × 16 × 16${noHalves}`, () => {
    useUnits(tensorCore);
    testUnits();
  });
  describe.runIf(isOffered)(`by emulated units of 16 × 8 × 32${noHalves}`, () => {
    useUnits(oblongCore);
    testUnitTiles();
  });
});
