import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { knownConfig } from '../../src/distributed/known.ts';
import { measuredChecks } from '../../src/distributed/measured.ts';
import type { MeasuredCheck } from '../../src/distributed/measured.ts';
import { plan, planDefaults } from '../../src/distributed/planner.ts';
import { modelSize } from '../../src/distributed/size.ts';
import type { ModelSize } from '../../src/distributed/size.ts';
import { tapeEngine } from '../../src/distributed/tape.ts';
import { useBackend } from '../../src/tensor/backend.ts';

const checks: MeasuredCheck[] = [];

beforeAll(async () => {
  await useBackend('wasm');
  for await (const check of measuredChecks(join(import.meta.dirname, '../../assets/model'))) checks.push(check);
}, 120_000);

describe('the planner against this project’s own steps', () => {
  it('is compared in six configurations of the embedded model, and two of another shape', () => {
    expect(checks).toHaveLength(8);
  });

  it('gives every part, and the whole, within 10%', () => {
    for (const { what, ...parts } of checks) {
      for (const [part, { error }] of Object.entries(parts)) expect(Math.abs(error), `${what}: ${part}`).toBeLessThanOrEqual(0.1);
    }
  });

  it('counts what the tape holds, and does not guess it: activations within 1%', () => {
    for (const { what, activations } of checks) expect(Math.abs(activations.error), what).toBeLessThan(0.01);
  });
});

describe('this project as the planner’s engine', () => {
  const size = modelSize(knownConfig('HuggingFaceTB/SmolLM2-135M')!);
  const of = (sequence: number, answers: number) =>
    plan(size, { ...planDefaults, method: 'lora', sequence }, tapeEngine(answers));

  it('has no CUDA context and no fragments: what is allocated is all', () => {
    const { allocated, total, parts } = of(64, 32);
    expect(total).toBe(allocated);
    expect(parts.fragmentation + parts.context).toBe(0);
  });

  it('computes logits of predicted tokens alone: five float32 for each entry of the vocabulary', () => {
    const with1more = { ...size, vocabSize: size.vocabSize + 1 };
    const activations = (size: ModelSize) =>
      plan(size, { ...planDefaults, method: 'lora', sequence: 64 }, tapeEngine(33)).parts.activations;
    expect(activations(with1more) - activations(size)).toBe(4 * 5 * 33);
  });

  it('is another engine than PyTorch: its formulas are not those', () => {
    const options = { ...planDefaults, method: 'lora', sequence: 64, checkpointing: 'none' } as const;
    const [ours, theirs] = [plan(size, options, tapeEngine(64)), plan(size, options)];
    expect(ours.parts.activations / theirs.parts.activations).toBeGreaterThan(1.5);
  });
});
