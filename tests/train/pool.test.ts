import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { runJobs } from '../../src/train/pool.ts';
import type { Finished, Job, Json, PoolOptions } from '../../src/train/pool.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

beforeAll(() => useBackend('cpu'));
const at = temporaryFolder();
const module = new URL('pool-jobs.ts', import.meta.url).href;

interface Square { square: number; pid: number; backend: string }
const square = (x: number, options: Record<string, Json> = {}): Job =>
  ({ name: `x = ${x}`, module, run: 'square', options: { x, ...options } });
const failing = (run: string): Job => ({ name: 'r = 4', module, run, options: {} });

async function all(jobs: Job[], options: Partial<PoolOptions> = {}): Promise<Finished<Square>[]> {
  const finished: Finished<Square>[] = [];
  for await (const one of runJobs<Square>(jobs, options)) finished.push(one);
  return finished;
}

const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const pidIn = (file: string) => expect.poll(() => existsSync(file) && readFileSync(file, 'utf8')).toBeTruthy()
  .then(() => Number(readFileSync(file, 'utf8')));

describe('a pool', () => {
  it('gives each job\'s result with its job, computed where this process computes', async () => {
    const finished = await all([1, 2, 3].map((x) => square(x)));
    expect(finished.map(({ job, result }) => [job.name, result.square]).sort()).toEqual([['x = 1', 1], ['x = 2', 4], ['x = 3', 9]]);
    for (const { result, seconds } of finished) {
      expect(result.backend).toBe('cpu 1'); // and by one thread
      expect(seconds).toBeGreaterThan(0);
    }
  });

  it('yields a result as soon as it is there', async () => {
    const until = at('yielded');
    const names: string[] = [];
    for await (const { job } of runJobs([square(1, { until }), square(2)])) {
      names.push(job.name);
      writeFileSync(until, ''); // without it the first would wait for ever
    }
    expect(names).toEqual(['x = 2', 'x = 1']);
  });

  it('begins a job when those that it comes after are done, kept ones too', async () => {
    const keep = at('first.json');
    const first = square(1, { milliseconds: 300 });
    const second = { ...square(2), after: [first] };
    const last = { ...square(3), after: [first, second] };
    const order = (finished: Finished<Square>[]) => finished.map(({ job }) => job.name);
    expect(order(await all([last, second, first], { keep }))).toEqual(['x = 1', 'x = 2', 'x = 3']);
    const next = { ...square(4), after: [last] };
    expect(order(await all([next, last], { keep }))).toEqual(['x = 3', 'x = 4']);
    await expect(all([next])).rejects.toThrow('x = 4: it waits for a job that is not among them');
  });

  it('has nothing to do for no jobs', async () => {
    expect(await all([])).toEqual([]);
  });

  it('ends its processes when the caller has seen enough', async () => {
    const file = at('left');
    for await (const _ of runJobs([square(1), square(2, { milliseconds: 60_000, file })])) break;
    const started = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    if (started) await expect.poll(() => alive(started)).toBe(false);
  });

  it('leaves nobody unheard when the caller goes while the next job has just begun', async () => {
    const unheard: unknown[] = [];
    const hear = (reason: unknown) => unheard.push(reason);
    process.on('unhandledRejection', hear);
    for await (const _ of runJobs([square(1), square(2, { milliseconds: 60_000 })], { bytesPerJob: 1e15 })) break;
    await new Promise((resolve) => setTimeout(resolve, 500)); // its process has died by then
    process.off('unhandledRejection', hear);
    expect(unheard).toEqual([]);
  });

  it('ends its processes with this one, though it be killed and they be busy', async () => {
    const file = at('endless');
    const job = { name: 'endless', module, run: 'endless', options: { file } };
    const parent = spawn(process.execPath, ['--import', './src/start.js', '--input-type=module', '--eval', `
      import { useBackend } from './src/tensor/backend.ts';
      import { runJobs } from './src/train/pool.ts';
      await useBackend('cpu');
      for await (const one of runJobs([${JSON.stringify(job)}]));
    `], { stdio: ['ignore', 'inherit', 'inherit'] });
    const pid = await pidIn(file);
    expect(alive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => alive(pid)).toBe(false);
  });
});

describe('a job that fails', () => {
  it('is named by the sentence of its mistake, and what came before it stays kept', async () => {
    const keep = at('part.json');
    const failed = all([square(5), failing('mistake')], { keep, bytesPerJob: 1e15 });
    expect(await userErrorFrom(failed, 'r = 4')).toBe('r = 4: Falta el archivo: escríbelo.');
    expect(await all([square(5)], { keep })).toMatchObject([{ result: { square: 25 }, seconds: 0 }]);
  });

  it('ends those that run beside it', async () => {
    const file = at('beside');
    const beside = { name: 'endless', module, run: 'endless', options: { file } };
    await userErrorFrom(all([beside, { ...failing('mistakeOnce'), options: { file } }]), 'r = 4');
    await expect.poll(() => alive(Number(readFileSync(file, 'utf8')))).toBe(false);
  });

  it.each([
    ['bug', /^r = 4: TypeError: x is not a function\n.*pool-jobs/s],
    ['death', /^r = 4: su proceso ha terminado sin dar resultado$/],
    ['nothing', /^r = 4: nothing gave no JSON value$/],
    ['absent', /^r = 4: .*exports no function absent/],
  ])('is named when it is a %s', async (run, message) => {
    const failed: unknown = await all([failing(run)]).catch((error: unknown) => error);
    expect(failed).not.toBeInstanceOf(UserError);
    expect((failed as Error).message).toMatch(message);
  });
});

describe('kept results', () => {
  it('are not computed twice; a process does many jobs, and there are no more than the memory has room for', async () => {
    const [keep, file] = [at('kept.json'), at('computed')];
    await all([square(3, { file })], { keep });
    const [kept, ...others] = await all([square(3, { file }), square(4), square(5)], { keep, bytesPerJob: 1e15 });
    expect(readFileSync(file, 'utf8')).toMatch(/^\d+$/);
    expect(kept).toMatchObject({ result: { square: 9 }, seconds: 0 });
    expect(others).toMatchObject([{ result: { square: 16 } }, { result: { square: 25 } }]);
    expect(new Set(others.map(({ result }) => result.pid)).size).toBe(1);
  });

  it('of other code are not taken', async () => {
    const [keep, program] = [at('code.json'), at('program.mjs')];
    const value = async (code: string) => {
      writeFileSync(program, `export const job = () => ({ square: ${code} });`);
      const [one] = await all([{ name: 'job', module: pathToFileURL(program).href, run: 'job', options: {} }], { keep });
      return one!.result.square;
    };
    expect(await value('1')).toBe(1);
    expect(await value('2')).toBe(2);
  });

  it('are refused when the file is something else', async () => {
    writeFileSync(at('broken.json'), '[1]');
    await userErrorFrom(all([square(1)], { keep: at('broken.json') }), at('broken.json'));
  });
});
