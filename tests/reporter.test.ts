import { describe, expect, it } from 'vitest';
import type { TestCase } from 'vitest/node';
import { closingLines, count, skipReason } from './reporter.ts';
import type { Tally } from './reporter.ts';

describe('the closing lines of a test run', () => {
  it('are one plain line when nothing was skipped', () => {
    expect(closingLines({ passed: 12, failed: 1, skipped: [] })).toEqual(['12 passed, 1 failed, 0 skipped']);
  });

  it('count what was skipped of each file, and say why', () => {
    const skipped = [
      { file: 'tests/deck.test.ts', reason: 'sin Chromium' },
      { file: 'tests/deck.test.ts', reason: 'sin Chromium' },
      { file: 'tests/deck.test.ts', reason: 'sin red' },
    ];
    expect(closingLines({ passed: 3, failed: 0, skipped })).toEqual([
      'Skipped, and why:',
      '    1 of tests/deck.test.ts: sin red',
      '    2 of tests/deck.test.ts: sin Chromium',
      '3 passed, 0 failed, 3 skipped',
    ]);
  });
});

describe('a test that is over', () => {
  it('has passed, failed or been skipped, which it also has been where nobody says so', () => {
    const tally: Tally = { passed: 0, failed: 0, skipped: [] };
    for (const state of ['passed', 'failed', 'skipped', 'pending'] as const) {
      const result = () => ({ state }) as ReturnType<TestCase['result']>;
      count({ fullName: 'kernels [sin Dawn] > in half precision', result }, { relativeModuleId: 'a.test.ts' }, tally);
    }
    const skipped = { file: 'a.test.ts', reason: 'sin Dawn' };
    expect(tally).toEqual({ passed: 1, failed: 1, skipped: [skipped, skipped] });
  });
});

describe('the reason of a skip', () => {
  it('is the note given to context.skip', () => {
    expect(skipReason('deck > ten slides [sin Chromium]', 'no hay red')).toBe('no hay red');
  });

  it('is what the brackets that end a title say, the innermost first', () => {
    expect(skipReason('deck > ten slides [sin Chromium]')).toBe('sin Chromium');
    expect(skipReason('deck [sin Chromium] > ten slides')).toBe('sin Chromium');
    expect(skipReason('deck [sin red] > ten slides [sin Chromium]')).toBe('sin Chromium');
  });

  it('says so when nobody gave one', () => {
    expect(skipReason('codebook [16] has sixteen values')).toBe('sin motivo declarado');
  });
});
