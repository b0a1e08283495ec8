import { existsSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { limitsOf, longestSilence, readRehearsal, writeRehearsal } from '../../src/cli/rehearsal.ts';
import type { TimedEvent } from '../../src/runs/events.ts';
import { record } from '../deck/record.ts';
import { temporaryFolder, userErrorOf } from '../temporary.ts';

const at = temporaryFolder();
const told = (...moments: number[]): TimedEvent[] => moments.map((moment) => ({ type: 'text', text: 'x', at: moment }));

describe('what a rehearsal leaves', () => {
  it('is read back, and nothing before there was one', () => {
    expect(readRehearsal(at('new'))).toEqual({});
    expect(existsSync(at('new'))).toBe(false);
    writeRehearsal(at('out'), { qlora: { seconds: 93.8, silence: 11 } });
    expect(readRehearsal(at('out'))).toEqual({ qlora: { seconds: 93.8, silence: 11 } });
  });

  it('is refused when it is something else', () => {
    writeFileSync(at('rehearsal.json'), '{"qlora": 3}');
    userErrorOf(() => readRehearsal(at('.')), 'rehearsal.json');
  });

  it('counts the longest silence from the beginning', () => {
    expect(longestSilence(told(2, 3, 9, 10))).toBe(6);
    expect(longestSilence(told(5, 6))).toBe(5);
    expect(longestSilence([{ type: 'text', text: 'x' }])).toBe(0);
  });
});

describe('the time of a live run', () => {
  it("is its experiment's own, unless another is asked for", () => {
    expect(limitsOf('qlora', undefined, {}).budget).toBe(300);
    expect(limitsOf('qlora', undefined, {}, 20).budget).toBe(20);
  });

  it('lets it be silent for four times what it was here, or else where it was recorded, and 15 s at least', () => {
    const recorded = record({ events: told(0, 8) });
    expect(limitsOf('qlora', recorded, {}).silence).toBe(32);
    expect(limitsOf('qlora', recorded, { qlora: { seconds: 60, silence: 20 } }).silence).toBe(80);
    expect(limitsOf('qlora', undefined, {}).silence).toBe(15);
  });
});
