import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

export interface Tally {
  passed: number;
  failed: number;
  skipped: { file: string; reason: string }[];
}

/**
 * Why a test was skipped: the note given to `context.skip(note)`, else the brackets that end its
 * title or that of a suite around it, as in «diez diapositivas [sin Chromium]».
 */
export function skipReason(fullName: string, note?: string): string {
  if (note) return note;
  const brackets = [...fullName.matchAll(/\[([^[\]]+)\](?= > |$)/g)];
  return brackets.at(-1)?.[1] ?? 'sin motivo declarado';
}

/** What was skipped and why, a line for each file and reason, and then one plain line alone. */
export function closingLines({ passed, failed, skipped }: Tally): string[] {
  const counts = new Map<string, number>();
  for (const { file, reason } of skipped) {
    const what = `${file}: ${reason}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const lines = [...counts].map(([what, count]) => `  ${String(count).padStart(3)} of ${what}`).sort();
  if (lines.length > 0) lines.unshift('Skipped, and why:');
  return [...lines, `${passed} passed, ${failed} failed, ${skipped.length} skipped`];
}

/** Closes the default report so that a person or a program reads the outcome from the last line. */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const tally: Tally = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) count(test, module, tally);
      // A file that did not even load has no tests, and is a failure all the same.
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed')) tally.failed++;
    }
    process.stdout.write(`${closingLines(tally).join('\n')}\n`);
  }
}

type Ended = Pick<TestCase, 'fullName' | 'result'>;

/** Counts a test once the run is over. Of one in a suite within a suite, both skipped, Vitest says «pending». */
export function count(test: Ended, { relativeModuleId: file }: Pick<TestModule, 'relativeModuleId'>, tally: Tally): void {
  const result = test.result();
  if (result.state === 'passed') tally.passed++;
  else if (result.state === 'failed') tally.failed++;
  else tally.skipped.push({ file, reason: skipReason(test.fullName, 'note' in result ? result.note : undefined) });
}
