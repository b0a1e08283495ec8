import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { withRegion } from '../deck/code.ts';
import type { Experiment } from '../runs/experiments.ts';
import type { Problem } from './state.ts';

/** What the compiler's thread is asked: the text of a file as edited, and which lines of it are the region. */
export interface Question {
  readonly file: string;
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** A thread does not inherit the loader of TypeScript on Node 20. */
const start = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(require('node:worker_threads').workerData);
})`;

/** The TypeScript compiler, in a thread of its own: it takes seconds to read the project. */
export class TypeChecker {
  private worker: Worker | undefined;
  private answered: Promise<unknown> = Promise.resolve();

  /**
   * What is wrong in a program whose region is other code: lines and columns of the code.
   * @param experiment the program and its region
   */
  async check({ file, region }: Pick<Experiment, 'file' | 'region'>, code: string): Promise<Problem[]> {
    const { text, line: from, indent } = withRegion(readFileSync(file, 'utf8'), region, file, code);
    const to = from + code.trimEnd().split('\n').length;
    // One question at a time: the thread answers in turn.
    const answer = this.answered.then(() => this.ask({ file: resolve(file), text, from, to }));
    this.answered = answer.catch(() => {});
    return (await answer).map((problem) => ({ ...problem, column: Math.max(0, problem.column - indent) }));
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
  }

  private async ask(question: Question): Promise<Problem[]> {
    this.worker ??= this.begin();
    const answer = once(this.worker, 'message') as Promise<[Problem[]]>;
    this.worker.postMessage(question);
    return (await answer)[0];
  }

  private begin(): Worker {
    const worker = new Worker(start, { eval: true, execArgv: [], workerData: new URL('./types-worker.ts', import.meta.url).href });
    return worker.on('error', () => { this.worker = undefined; }); // the next question begins another
  }
}
