import { fork } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Kind, Outcome } from './worker.ts';

/**
 * Ten thousand damaged files: each is read, as what it still says, or refused in one sentence. A failure names its
 * number; the same seed and number make the same file again.
 */
const seed = Number(process.env.MUTATION_SEED ?? 1);

/** A file takes milliseconds; this much is a hang, on however busy a machine. */
const HANG = 30_000;

/** Opens so many damaged files in a process of its own, which a hang, a crash or an exhausted memory cannot outlive. */
function damage(kind: Kind, count: number): Promise<Outcome[]> {
  return new Promise((resolve, reject) => {
    const worker = fork(join(import.meta.dirname, 'worker.ts'), [kind, seed, 0, count].map(String), {
      execArgv: ['--import', './src/start.js', '--max-old-space-size=1024'], silent: true,
    });
    let said = '';
    worker.stderr!.on('data', (text) => { said = `${said}${String(text)}`.slice(-2000); });
    const outcomes: Outcome[] = [];
    let now = 'before the first file';
    const stop = () => {
      worker.kill('SIGKILL');
      reject(new Error(`hangs: ${now} (seed ${seed})`));
    };
    let watchdog = setTimeout(stop, HANG);
    worker.on('message', (message: Partial<Outcome> & { index: number; what: string }) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, HANG);
      now = `${kind} ${message.index}, ${message.what}`;
      if (message.result !== undefined) outcomes.push(message as Outcome);
    });
    worker.once('exit', (code, signal) => {
      clearTimeout(watchdog);
      if (code === 0) resolve(outcomes);
      else reject(new Error(`ended with ${signal ?? code}: ${now} (seed ${seed})\n${said}`));
    });
  });
}

describe('a damaged file is read as it is, or refused in one sentence', () => {
  it.each<[Kind, number]>([
    ['weights', 3500], ['configuration', 2000], ['tokenizer', 2000], ['adapter', 2500],
  ])('%s: %i files', async (kind, count) => {
    const outcomes = await damage(kind, count);
    const failed = outcomes.filter(({ result }) => result === 'failed')
      .map(({ index, what, why }) => `${kind} ${index} (seed ${seed}), ${what}: ${why}`);
    expect(failed.slice(0, 20), `${failed.length} failures`).toEqual([]);
    expect(outcomes).toHaveLength(count);
    // Neither does everything pass, nor is everything refused.
    for (const result of ['loaded', 'refused']) {
      expect(outcomes.filter((outcome) => outcome.result === result).length, result).toBeGreaterThan(count / 20);
    }
    expect(Math.max(...outcomes.map(({ seconds }) => seconds))).toBeLessThan(10);
    expect(Math.max(...outcomes.map(({ peak }) => peak))).toBeLessThan(800 * 2 ** 20);
  }, 300_000);
});
