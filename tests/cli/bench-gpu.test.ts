import { describe, expect, it } from 'vitest';
import { gpuRows, gpuTable, operationsPerToken, peakOf, productTable } from '../../src/cli/bench-gpu.ts';
import type { GpuRow } from '../../src/cli/bench-gpu.ts';
import { UserError } from '../../src/errors.ts';
import { shapes } from '../../src/model/synthetic.ts';
import type { Measured } from '../../src/train/measure.ts';

const MiB = 2 ** 20;
const phase = { seconds: 1, peakResident: MiB };
const measured = (gpu: Partial<Measured['gpu']>): Measured => ({
  load: phase, adapt: phase, train: phase, save: null, base: 700 * MiB, base16: 2100 * MiB, adapter: 48 * MiB,
  moments: 96 * MiB, checkpoints: 88 * MiB, trainable: 12_615_680, tokensPerSecond: 2000,
  steps: [{ seconds: 2, loss: 10, tensors: 1, resident: 1 }, { seconds: 0.25, loss: 10, tensors: 1, resident: 1 }],
  gpu: { peakBytes: 1024 * MiB, kernels: [{ name: 'matmul', runs: 400, seconds: 0.2 }], ...gpu },
});

describe('the table of a GPU', () => {
  it('counts the products of a step: three a weight, less the block that is not recomputed, and the head\'s two', () => {
    // TinyLlama's 22 blocks of 44,040,192 weights, and a head of 32000 × 2048.
    expect(operationsPerToken(shapes['TinyLlama-1.1B'])).toBe(2 * 44_040_192 * 65 + 4 * 65_536_000);
  });

  it('knows a card\'s peak by its name, and says when it does not', () => {
    expect(peakOf({ device: 'NVIDIA H100 80GB HBM3', byUnits: false })).toBe(67e12);
    expect(peakOf({ device: 'NVIDIA H100 PCIe', byUnits: false })).toBe(51e12);
    expect(peakOf({ device: 'NVIDIA GeForce RTX 4090', byUnits: false })).toBe(82.6e12);
    expect(peakOf({ device: 'NVIDIA GeForce RTX 4090', byUnits: true })).toBe(165.2e12);
    expect(peakOf({ device: 'Apple M4', byUnits: false })).toBeUndefined();
    const [, row] = gpuTable({ device: 'Apple M4', byUnits: false }, [{ name: 'TinyLlama-1.1B', measured: measured({}), peer: null }]);
    expect(row![3]).toBe('sin dato');
  });

  it('tells speed, share of the peak, time in kernels and memory by part', () => {
    const [head, row] = gpuTable({ device: 'NVIDIA H100 80GB HBM3', byUnits: false }, [
      { name: 'TinyLlama-1.1B', measured: measured({}), peer: null },
    ]);
    expect(head).toHaveLength(11);
    // 5.987 GFLOP a token by 2000 a second are 11.97 TFLOP/s, of 67.
    expect(row).toEqual([
      'TinyLlama-1.1B', '2000', '11,97', '17,9 %', '80 %', '700 MiB', '48 MiB', '96 MiB', '88 MiB', '92 MiB', '1 GiB',
    ]);
  });

  it('says of a shape that could not be measured that it was not, beside the peer that could', () => {
    const peer = { tokensPerSecond: 1600, peakDevice: null, mode: 'nf4, bfloat16' };
    const [head, row] = gpuTable({ device: 'NVIDIA L4', byUnits: false }, [{ name: 'Llama-2-7B', measured: null, peer }]);
    expect(row).toHaveLength(head!.length);
    expect(row!.filter((cell) => cell)).toEqual(['Llama-2-7B', 'sin medir', 'nf4, bfloat16', '1600']);
  });

  it('puts the peer beside, and does without a clock that the device lacks', () => {
    const peer = { tokensPerSecond: 1600, peakDevice: 3 * 1024 * MiB, mode: 'nf4, bfloat16' };
    const [head, row] = gpuTable({ device: 'NVIDIA L4', byUnits: false }, [{ name: 'TinyLlama-1.1B', measured: measured({ kernels: null }), peer }]);
    expect(head!.slice(11)).toEqual(['PEFT', 'tokens/s', 'pico', 'veces']);
    expect(row![4]).toBe('sin reloj');
    expect(row!.slice(11)).toEqual(['nf4, bfloat16', '1600', '3 GiB', '1,25']);
  });

  it('leaves a shape without a peer blank where another has one', () => {
    const peer = { tokensPerSecond: 1000, peakDevice: MiB, mode: 'bfloat16' };
    const rows = gpuTable({ device: 'NVIDIA L4', byUnits: true }, [
      { name: 'SmolLM2-135M', measured: measured({}), peer: null }, { name: 'TinyLlama-1.1B', measured: measured({}), peer },
    ]);
    expect(rows.map((row) => row.slice(11))).toEqual([
      ['PEFT', 'tokens/s', 'pico', 'veces'], ['', '', '', ''], ['bfloat16', '1000', '1 MiB', '2,00'],
    ]);
  });

  it('names the peak that the speed is a share of', () => {
    const peak = (byUnits: boolean) => gpuTable({ device: 'NVIDIA L4', byUnits }, [])[0]![3];
    expect([peak(false), peak(true)]).toEqual(['del pico fp32', 'del pico fp16']);
  });
});

describe('the rows of a GPU', () => {
  const peer = { tokensPerSecond: 1600, peakDevice: 3 * 1024 * MiB, mode: 'nf4, bfloat16' };

  it('are kept as they are measured, and one that fails is told and takes no other with it', () => {
    const lines: string[] = [];
    const kept: (readonly GpuRow[])[] = [];
    const rows = gpuRows({
      measure: (name) => {
        if (name === 'TinyLlama-1.1B') throw new UserError('La GPU no tiene memoria para este paso.');
        return measured({});
      },
      peer: (name) => {
        if (name === 'Llama-2-7B') throw new UserError('--python: los pasos de PEFT acaban en error.');
        return peer;
      },
      tell: (line) => lines.push(line), keep: (rows) => kept.push(rows),
    });
    expect(rows.map(({ name, measured, peer }) => [name, measured !== null, peer !== null])).toEqual([
      ['SmolLM2-135M', true, true], ['TinyLlama-1.1B', false, true], ['Llama-2-7B', true, false],
    ]);
    expect(kept).toEqual([rows.slice(0, 1), rows.slice(0, 2), rows]);
    expect(lines).toEqual([
      'SmolLM2-135M, lo que más tarda: matmul 200 ms (400)',
      'TinyLlama-1.1B: La GPU no tiene memoria para este paso.',
      'Llama-2-7B: --python: los pasos de PEFT acaban en error.',
      'Llama-2-7B, lo que más tarda: matmul 200 ms (400)',
    ]);
  });

  it('tell the five kernels that take longest', () => {
    const lines: string[] = [];
    const kernels = Array.from({ length: 6 }, (_, i) => ({ name: `k${i}`, runs: 1, seconds: 0.001 }));
    const measure = () => measured({ kernels });
    gpuRows({ measure, peer: () => null, tell: (line) => lines.push(line), keep: () => {} });
    expect(lines[0]).toBe('SmolLM2-135M, lo que más tarda: k0 1 ms (1); k1 1 ms (1); k2 1 ms (1); k3 1 ms (1); k4 1 ms (1)');
  });

  it('show the stack of a mistake of ours', () => {
    const lines: string[] = [];
    const measure = () => { throw new TypeError('undefined is not a function'); };
    gpuRows({ measure, peer: () => peer, tell: (line) => lines.push(line), keep: () => {} });
    expect(lines[0]).toMatch(/^SmolLM2-135M: TypeError: undefined is not a function\n +at measure/);
  });
});

it('puts the ways to share a product out side by side, there and back, and marks one that is wrong', () => {
  const shape = { rows: 512, input: 2048, output: 256 };
  const speeds = [
    { name: 'elegida', forward: 61.25e12, back: 40e12, error: 1e-3 },
    { name: '64 × 64, 32', forward: 9e12, back: 8.04e12, error: NaN },
  ];
  expect(productTable([{ shape, speeds }])).toEqual([
    ['filas × entrada × salida', 'elegida', '64 × 64, 32'], ['512 × 2048 × 256', '61,3 / 40,0', '9,0 / 8,0 ✗'],
  ]);
});
