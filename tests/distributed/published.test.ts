import { describe, expect, it } from 'vitest';
import { publishedChecks } from '../../src/distributed/published.ts';

const checks = publishedChecks();

describe('the planner against published figures', () => {
  it('gives ZeRO’s table exactly', () => {
    const zero = checks.filter(({ source }) => source.startsWith('ZeRO'));
    expect(zero.map(({ planned }) => planned / 1e9)).toEqual([120, 31.4, 16.6, 1.9]);
  });

  it.each(checks.filter(({ unmet }) => unmet === undefined))('$what: within 10% ($source)', ({ error }) => {
    expect(Math.abs(error)).toBeLessThanOrEqual(0.1);
  });

  it('says which figures it does not meet, and why', () => {
    const unmet = checks.filter((check) => check.unmet !== undefined);
    expect(unmet.map(({ what }) => what)).toEqual([
      'QLoRA 7B, FSDP × 2, lote 1 × 512', 'LoRA 7B, FSDP × 2 + CPU, lote 10', 'QLoRA 70B, FSDP × 2 + CPU',
    ]);
    for (const { error } of unmet) expect(Math.abs(error)).toBeGreaterThan(0.1);
  });

  it('fits QLoRA on 65B in less than 48 GB, while the paged optimizer waits', () => {
    const check = checks.find(({ what }) => what.startsWith('QLoRA 65B'))!;
    expect(check.planned).toBeLessThan(48e9);
    expect(check.error).toBe(0);
  });
});
