import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { codeOf } from '../runs/code.ts';

/** Something to compute, described as data: a function of one JSON value that a module exports. */
export interface Job {
  /** What messages call it. */
  readonly name: string;
  /** The module's address: `import.meta.url` of the file that describes the job, as a rule. */
  readonly module: string;
  /** The exported function. It takes `options`, and returns or promises a JSON value. */
  readonly run: string;
  readonly options: Json;
  /** Jobs of the same pool that have to be done before it begins. */
  readonly after?: readonly Job[];
}

export type Json = z.infer<ReturnType<typeof z.json>>;

export interface Finished<Result> {
  readonly job: Job;
  readonly result: Result;
  /** What it took; 0 when its result was kept from another time. */
  readonly seconds: number;
}

export interface PoolOptions {
  /** The most memory that one job's process takes: so many processes as fit, and no more than cores or jobs. */
  readonly bytesPerJob: number;
  /** A file that keeps each result: a job of the same options and the same code is not computed twice. */
  readonly keep?: string | undefined;
}

/** Measured on the embedded model: a training in batches of 8 takes 0.5 GB. */
const poolDefaults: PoolOptions = { bytesPerJob: 600e6 };

const loader = new URL('../start.js', import.meta.url).href;

/** What the process of a job is told, and what it tells. */
export const order = z.object({ module: z.string(), run: z.string(), options: z.json() });
const answer = z.discriminatedUnion('type', [
  z.object({ type: z.literal('done'), result: z.json(), seconds: z.number() }),
  /** `mistake`: the sentence of a UserError, and not the trace of a bug. */
  z.object({ type: z.literal('failed'), message: z.string(), mistake: z.boolean() }),
]);
export type Answer = z.infer<typeof answer>;

/**
 * Runs jobs side by side in processes of their own, which do one job after another and compute where this one does:
 * starting TensorFlow.js takes a second. Each result is yielded as it comes, in no order.
 *
 *     export async function trained({ r }: { r: number }): Promise<{ loss: number }> { … }
 *
 *     const { url: module } = import.meta;
 *     const jobs = [1, 4, 16].map((r) => ({ name: `r = ${r}`, module, run: 'trained', options: { r } }));
 *     for await (const { job, result } of runJobs<{ loss: number }>(jobs)) show(job.name, result.loss);
 *
 * The processes end with the last job, with the first failure, when the caller leaves the loop, and with this process,
 * however that ends. What is no JSON (an adapter) goes through a file that the job writes and names.
 *
 * @throws UserError naming the job that made one; Error naming the job that failed, or whose process died
 */
export async function* runJobs<Result>(
  jobs: readonly Job[], options: Partial<PoolOptions> = {},
): AsyncGenerator<Finished<Result>, void, undefined> {
  const { bytesPerJob, keep } = { ...poolDefaults, ...options };
  const kept = new Kept(keep);
  const waiting: Job[] = [];
  const done = new Set<Job>();
  for (const job of jobs) {
    const result = kept.of(job);
    if (result === undefined) {
      waiting.push(job);
    } else {
      done.add(job);
      yield { job, result: result as Result, seconds: 0 };
    }
  }
  const fit = Math.max(1, Math.floor(process.availableMemory() / bytesPerJob));
  const workers = Array.from({ length: Math.min(waiting.length, availableParallelism(), fit) }, () => new Worker());
  const running = new Map<Worker, Promise<{ worker: Worker; job: Job; result: Json; seconds: number }>>();
  /** Every worker that has nothing to do takes the first job that can begin. */
  const begin = () => {
    for (const worker of workers.filter((worker) => !running.has(worker))) {
      const job = waiting.find(({ after = [] }) => after.every((other) => done.has(other)));
      if (!job) return;
      waiting.splice(waiting.indexOf(job), 1);
      const answered = worker.run(job).then((answer) => ({ worker, job, ...answer }));
      answered.catch(() => {}); // heard in its turn, or by nobody: the caller may leave, or work on the last result
      running.set(worker, answered);
    }
  };
  try {
    begin();
    while (running.size > 0) {
      const { worker, job, result, seconds } = await Promise.race(running.values());
      running.delete(worker);
      done.add(job);
      kept.add(job, result);
      begin();
      yield { job, result: result as Result, seconds };
    }
    if (waiting[0]) throw new RangeError(`${waiting[0].name}: it waits for a job that is not among them`);
  } finally {
    workers.forEach((worker) => worker.end());
  }
}

/** A process that does jobs, one after another. */
class Worker {
  private readonly child: ChildProcess;

  constructor() {
    const program = fileURLToPath(new URL('pool-worker.ts', import.meta.url));
    // Standard input is never written: it closes when this process is gone, and the child ends itself.
    this.child = spawn(process.execPath, ['--import', loader, program, tf.getBackend()], {
      stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, WASM_THREADS: '1' }, // the cores are shared out by jobs
    });
    for (const part of [this.child, this.child.stdin!]) part.on('error', () => {});
  }

  async run({ name, module, run, options }: Job): Promise<{ result: Json; seconds: number }> {
    const said = await new Promise<unknown>((resolve, reject) => {
      const died = () => reject(new Error(`${name}: su proceso ha terminado sin dar resultado`));
      const { child } = this;
      child.once('exit', died).once('message', (message) => {
        child.off('exit', died);
        resolve(message);
      });
      child.send({ module, run, options }, (error) => { if (error) died(); });
    });
    const { data } = answer.safeParse(said);
    if (!data) throw new Error(`${name}: ${run} gave no JSON value`);
    if (data.type === 'done') return data;
    const message = `${name}: ${data.message}`;
    throw data.mistake ? new UserError(message) : new Error(message);
  }

  end(): void {
    this.child.kill('SIGKILL');
  }
}

const keptFile = z.record(z.string(), z.object({ name: z.string(), result: z.json() }));

/** Results of jobs by what decides them: their options, and the code that they run. */
class Kept {
  private readonly results: z.infer<typeof keptFile>;
  private readonly code = new Map<string, string>();

  constructor(private readonly file: string | undefined) {
    this.results = file !== undefined && existsSync(file) ? readJson(file, keptFile) : {};
  }

  of(job: Job): Json | undefined {
    return this.file === undefined ? undefined : this.results[this.key(job)]?.result;
  }

  add(job: Job, result: Json): void {
    if (this.file === undefined) return;
    this.results[this.key(job)] = { name: job.name, result };
    writeFileAtomic(this.file, `${JSON.stringify(this.results, null, 1)}\n`);
  }

  private key({ module, run, options }: Job): string {
    const path = relative('.', fileURLToPath(module)).replaceAll('\\', '/');
    if (!this.code.has(path)) this.code.set(path, JSON.stringify(codeOf(path)));
    const decisive = JSON.stringify([this.code.get(path), run, options, tf.getBackend()]);
    return createHash('sha256').update(decisive).digest('hex').slice(0, 32);
  }
}
