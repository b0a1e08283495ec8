import { describe, expect, it } from 'vitest';
import { advise, required } from '../../src/distributed/advice.ts';
import type { Advice } from '../../src/distributed/advice.ts';
import { knownConfig } from '../../src/distributed/known.ts';
import { plan, planDefaults, refusal } from '../../src/distributed/planner.ts';
import type { PlanOptions } from '../../src/distributed/planner.ts';
import { modelSize } from '../../src/distributed/size.ts';

const size = modelSize(knownConfig('meta-llama/Llama-2-7b-hf')!);
const GiB = 2 ** 30;
const advised = (options: Partial<PlanOptions>, capacity: number) =>
  advise(size, { ...planDefaults, ...options }, capacity);
const flagOf = (name: string) => `--${name.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
const flagsOf = ({ change }: Advice) => change.split(':')[0]!.split(/ (?=--)/);

describe('what to change first', () => {
  it('is nothing when it fits', () => {
    expect(advised({}, 24 * GiB)).toEqual([]);
  });

  it('is what costs least, when that is enough', () => {
    const [first, ...rest] = advised({ method: 'lora', checkpointing: 'none', sequence: 2048 }, 24 * GiB);
    expect(first!.change).toContain('--checkpointing full');
    expect(rest).toEqual([]);
    expect(required(first!.plan)).toBeLessThanOrEqual(24 * GiB);
  });

  it('is nothing when it fits to the byte', () => {
    const needed = required(plan(size, planDefaults));
    expect(advised({}, needed)).toEqual([]);
    expect(advised({}, needed - 1)).not.toEqual([]);
    const [first] = advised({ method: 'full' }, 48 * GiB);
    expect(advised({ method: 'full' }, required(first!.plan))).toEqual([first]);
  });

  it('is the one change that is enough alone, though a cheaper one would help; of several, the cheapest', () => {
    const flags = (capacity: number) => advised({ method: 'full', batchSize: 16 }, capacity).map(flagsOf);
    expect(flags(64 * GiB)).toEqual([['--optimizer paged-adamw-8bit']]);
    expect(flags(136 * GiB)).toEqual([['--batch-size 8', '--accumulation 2']]);
  });

  it('goes on to slower trainings, and then to other ones', () => {
    expect(advised({ method: 'full', gpus: 8, scheme: 'zero1' }, 1 * GiB).flatMap(flagsOf)).toEqual([
      '--scheme fsdp', '--offload cpu', '--method lora', '--method qlora', '--sequence 1024', '--sequence 512', '--sequence 256',
    ]);
  });

  it('says in flags what it changes, all of it and nothing else', () => {
    const cases: Partial<PlanOptions>[] = [
      { method: 'full', gpus: 8, scheme: 'zero1', checkpointing: 'none', batchSize: 4, sequence: 1001 },
      { optimizer: 'paged-adamw', gpus: 2, batchSize: 6 }, { optimizer: 'adamw-8bit', gpus: 2 },
    ];
    for (const options of cases) {
      const steps = advised(options, 1 * GiB);
      let before: PlanOptions = { ...planDefaults, ...options };
      for (const step of steps) {
        const { options: now } = step;
        const changed = (Object.keys(now) as (keyof PlanOptions)[]).filter((name) => now[name] !== before[name]);
        expect(flagsOf(step).sort()).toEqual(changed.map((name) => `${flagOf(name)} ${String(now[name])}`).sort());
        before = now;
      }
      expect(steps.length).toBeGreaterThan(1);
    }
  });

  it('keeps the effective batch, in whole micro-batches, as large as they can be', () => {
    const sizes = (batchSize: number) => {
      const steps = advised({ batchSize, checkpointing: 'full' }, 8 * GiB);
      for (const { options } of steps) expect(options.batchSize * options.accumulation).toBe(batchSize);
      return steps.flatMap(({ options }) => (options.batchSize < batchSize ? [options.batchSize] : []));
    };
    expect([16, 15, 7].map((batchSize) => sizes(batchSize)[0])).toEqual([8, 5, 1]);
    expect(sizes(2)).toEqual([1]);
  });

  it('says what computing again costs: a third more, or half with a frozen base, of which back is but one forward', () => {
    const cost = (method: PlanOptions['method']) =>
      advised({ method, checkpointing: 'none', sequence: 2048, scheme: 'fsdp', gpus: 8 }, 1 * GiB)[0]!.change;
    expect(cost('full')).toContain('un tercio más');
    expect(cost('lora')).toContain('casi la mitad más');
  });

  it('is planned again at every step, each smaller than the one before', () => {
    const options = { method: 'full', gpus: 2, checkpointing: 'none', batchSize: 4 } as const;
    const steps = advised(options, 6 * GiB);
    const totals = [plan(size, { ...planDefaults, ...options }), ...steps.map((step) => step.plan)].map(required);
    expect(totals.length).toBeGreaterThan(2);
    totals.slice(1).forEach((total, i) => expect(total).toBeLessThan(totals[i]!));
    steps.forEach(({ options, plan: planned }) => expect(plan(size, options)).toEqual(planned));
  });

  it('passes over what would free next to nothing', () => {
    const [first] = advised({ method: 'full', checkpointing: 'none', sequence: 64 }, 16 * GiB);
    expect(first!.change).toContain('--optimizer paged-adamw-8bit');
  });

  it('is never what cannot be: no FSDP with a pipeline, no 4 bits with tensor parallel', () => {
    const steps = advised({ method: 'lora', gpus: 8, pipelineParallel: 2, tensorParallel: 2, sequence: 8192 }, 1 * GiB);
    expect(steps.length).toBeGreaterThan(0);
    for (const { options } of steps) expect(refusal(options, size)).toBeUndefined();
  });

  it('ends where nothing more can be changed', () => {
    const steps = advised({}, 1 * GiB);
    expect(required(steps.at(-1)!.plan)).toBeGreaterThan(1 * GiB);
  });

  it('does not shorten texts of 256 tokens or less, though logits be most of what is held', () => {
    const wide = modelSize(knownConfig('Qwen/Qwen2.5-0.5B')!);
    const lengths = (sequence: number) =>
      advise(wide, { ...planDefaults, sequence }, GiB / 2).map(({ options }) => options.sequence);
    expect(lengths(1024).at(-1)).toBe(256);
    expect(lengths(256)).not.toContain(128);
  });

  it('takes a paged optimizer off where it advises FSDP', () => {
    const [first] = advised({ optimizer: 'paged-adamw-8bit', gpus: 2 }, 6 * GiB);
    expect(first!.options).toMatchObject({ scheme: 'fsdp', optimizer: 'adamw' });
    expect(first!.change).toContain('--scheme fsdp --optimizer adamw:');
    expect(advised({ gpus: 2 }, 6 * GiB)[0]!.change).toContain('--scheme fsdp:');
  });

  it('never advises a paged optimizer where states are sharded: FSDP fails on saving it', () => {
    for (const { options } of advised({ scheme: 'fsdp', gpus: 2, method: 'full' }, 2 * GiB)) {
      expect(options.optimizer).toBe('adamw');
    }
  });
});
