import * as tf from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { quantize } from '../../../src/quant/quantize.ts';
import { useMixedPrecision } from '../../../src/tensor/bfloat16.ts';
import { QuantizedMatrix } from '../../../src/tensor/quantized.ts';
import { hasDawn, openDawn } from '../../../src/tensor/webgpu/dawn.ts';
import { findAdapter, registerWebgpu } from '../../../src/tensor/webgpu/device.ts';
import { matmul } from '../../../src/tensor/webgpu/matmul.ts';
import { runProgram } from '../../../src/tensor/webgpu/program.ts';
import { halfPrecision, tiles, unitTiles, useTile, useUnitTile } from '../../../src/tensor/webgpu/tiles.ts';
import { noDawn } from '../../backend.ts';
import { tensorCore } from './emulated-units.ts';

/** Dawn's adapter that has every feature, checks every shader, and computes nothing. */
describe.runIf(hasDawn())(`kernels in half precision, where no device has float16${noDawn}`, () => {
  beforeAll(async () => {
    await registerWebgpu((await findAdapter(openDawn(['backend=null'])))!);
    await tf.setBackend('webgpu');
    useMixedPrecision(true);
  });
  afterAll(() => useMixedPrecision(false));

  const zeros = (...shape: [number, number]) => tf.zeros<tf.Rank.R2>(shape);
  /** Throws what is wrong with a shader, as the device tells it. */
  const read = async (of: () => Tensor2D) => (await tf.tidy(of).data()).length;

  it('are what mixed precision asks for', () => {
    expect(halfPrecision()).toBe(true);
    useMixedPrecision(false);
    expect(halfPrecision()).toBe(false);
    useMixedPrecision(true);
  });

  it.each(tiles)('are valid by tiles of %o: dense both ways, by vectors and not, and from 4 bits', async (tile) => {
    useTile(tile);
    const weight = new QuantizedMatrix(quantize(new Float32Array(64 * 64), [64, 64]));
    try {
      for (const depth of [8, 9]) {
        expect(await read(() => matmul(zeros(3, depth), zeros(depth, 5)))).toBe(15);
        expect(await read(() => matmul(zeros(3, depth), zeros(5, depth), { transposeB: true }))).toBe(15);
        expect(await read(() => matmul(zeros(depth, 3), zeros(depth, 4), { transposeA: true }))).toBe(12);
      }
      expect(await read(() => tf.grad((x) => weight.linear(x as Tensor2D))(zeros(3, 64)) as Tensor2D)).toBe(192);
    } finally {
      weight.dispose();
      useTile(undefined);
    }
  });

  it('are told from those that are not valid', async () => {
    const broken = () => runProgram({
      key: 'broken', write: { y: [1, 1] }, read: {}, integers: { size: 1 }, invocations: 1, half: true,
      code: () => ({ main: 'y[0] = vec4h(1).x;' }), // float16 is not float32
    })[0] as Tensor2D;
    await expect(read(broken)).rejects.toThrow(/cannot assign 'f16' to 'f32'/);
  });
});

/** Dawn's adapter that computes nothing has no such pipelines either. */
describe.runIf(hasDawn())(`kernels by matrix units, where no device has them${noDawn}`, () => {
  it.each(Object.entries(unitTiles))('are valid WGSL by %s workgroups: dense both ways, and from 4 bits', async (_, tile) => {
    const { adapter, told } = (await findAdapter(openDawn(['backend=null', 'enable-dawn-features=allow_unsafe_apis'])))!;
    const { device } = await registerWebgpu({ adapter, told: { ...told, units: [tensorCore] } });
    await tf.setBackend('webgpu');
    useMixedPrecision(true);
    useUnitTile(tile);
    const create = device.createShaderModule.bind(device);
    const made: { label: string; module: GPUShaderModule }[] = [];
    device.createShaderModule = (descriptor) => {
      const module = create(descriptor);
      made.push({ label: descriptor.label ?? '', module });
      return module;
    };
    const weight = new QuantizedMatrix(quantize(new Float32Array(64 * 64), [64, 64]));
    device.pushErrorScope('validation'); // of pipelines, which lack what such a device would have
    try {
      tf.tidy(() => {
        matmul(tf.zeros([20, 40]), tf.zeros([40, 70]));
        matmul(tf.zeros([20, 41]), tf.zeros([70, 41]), { transposeB: true });
        tf.grad((x) => weight.linear(x as Tensor2D))(tf.zeros([20, 64]));
      });
      const byUnits = made.filter(({ label }) => label.includes('units 16 16 16 f16 32'));
      expect(byUnits).toHaveLength(4);
      const messages = await Promise.all(byUnits.map(({ module }) => module.getCompilationInfo()));
      expect(messages.flatMap(({ messages }) => messages.map(({ message }) => message))).toEqual([]);
    } finally {
      await device.popErrorScope();
      weight.dispose();
      useMixedPrecision(false);
      useUnitTile(undefined);
    }
  });
});
