import { Worker } from 'node:worker_threads';
import { UserError } from '../errors.ts';
import type { BackendName } from '../tensor/backend.ts';
import { sharedMemory } from './collectives.ts';
import { dataParallel } from './job.ts';
import type { Job, RankMessage, RankReport } from './job.ts';
import type { RankData } from './rank.ts';

/** A thread does not inherit the loader of TypeScript on Node 20. */
const program = `import('tsx/esm/api').then(({ register }) => {
  register();
  return import(${JSON.stringify(new URL('./rank.ts', import.meta.url).href)});
})`;

type OfType<Type> = Extract<RankMessage, { type: Type }>;

export interface RanksResult {
  /** Of each step, over all ranks. */
  readonly losses: readonly number[];
  readonly reports: readonly RankReport[];
}

/** Ranks as threads of this process. One that ends before its time ends them all. */
export class Ranks {
  private readonly listeners = new Set<(rank: number, message: RankMessage) => void>();
  private readonly ended: Promise<never>;
  private readonly workers: readonly Worker[];
  private step = 0;
  private closing = false;

  private constructor(count: number, backend: BackendName) {
    const memory = sharedMemory(count);
    this.workers = Array.from({ length: count }, (_, rank) => new Worker(program, {
      eval: true, execArgv: [], env: { ...process.env, WASM_THREADS: '1' }, // a rank is a thread already
      workerData: { memory, ranks: count, rank, backend } satisfies RankData,
    }));
    this.ended = new Promise((_resolve, reject) => {
      const end = (rank: number, why: string) => {
        if (this.closing) return;
        const when = this.step > 0 ? ` en el paso ${this.step}` : '';
        void this.close().then(() => reject(new UserError(
          `El rango ${rank} de ${count} ${why}${when}: se detienen todos y no queda nada a medias; vuelve a lanzarlo.`)));
      };
      this.workers.forEach((worker, rank) => {
        worker.on('message', (message: RankMessage) => {
          if (message.type === 'failed') end(rank, `falló (${message.reason.replace(/\.$/, '')})`);
          for (const listener of this.listeners) listener(rank, message);
        });
        worker.on('error', (error: Error) => end(rank, `falló (${error.message})`));
        worker.on('exit', () => end(rank, 'murió'));
      });
    });
    this.ended.catch(() => {}); // heard by whoever waits for a job
  }

  /** @throws UserError if one does not start */
  static async start(count: number, backend: BackendName): Promise<Ranks> {
    const ranks = new Ranks(count, backend);
    await Promise.race([ranks.all(count, 'ready'), ranks.ended]);
    return ranks;
  }

  /** The threads, in order. */
  get threads(): readonly Worker[] {
    return this.workers;
  }

  /**
   * Trains on the first ranks.
   *
   * @param onStep told each step's loss once all ranks have done it
   * @throws UserError if a rank dies or fails: then all have ended
   */
  async train(job: Job, onStep: (step: number, loss: number) => void = () => {}): Promise<RanksResult> {
    const shares = dataParallel(job) * job.microBatches;
    const isEven = Number.isInteger(shares) && job.steps.every(({ length }) => length % shares === 0);
    if (job.ranks > this.workers.length || !isEven || (job.method === 'qlora' && dataParallel(job) !== job.ranks)) {
      throw new RangeError(`A batch does not go evenly among ${shares} ranks and micro-batches, on ${this.workers.length} ranks`);
    }
    const losses = job.steps.map(() => 0);
    const told = job.steps.map(() => 0);
    this.step = 1;
    const listen = (_rank: number, message: RankMessage) => {
      if (message.type !== 'step') return;
      losses[message.step - 1]! += message.loss;
      told[message.step - 1]!++;
      if (told[message.step - 1] !== job.ranks) return;
      onStep(message.step, losses[message.step - 1]!);
      this.step = message.step + 1;
    };
    this.listeners.add(listen);
    try {
      const done = this.all(job.ranks, 'done');
      for (const worker of this.workers.slice(0, job.ranks)) worker.postMessage(job);
      const messages = await Promise.race([done, this.ended]);
      return { losses, reports: messages.map(({ report }) => report) };
    } finally {
      this.listeners.delete(listen);
      this.step = 0;
    }
  }

  /** Ends the threads, and with them what they had on disk: see `Pager`. */
  async close(): Promise<void> {
    this.closing = true;
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  /** A message of that type from each of the first ranks, in their order. */
  private all<Type extends RankMessage['type']>(count: number, type: Type): Promise<OfType<Type>[]> {
    const found: OfType<Type>[] = [];
    return new Promise((resolve) => {
      const listen = (rank: number, message: RankMessage) => {
        if (message.type !== type) return;
        found[rank] = message as OfType<Type>;
        if (Object.keys(found).length < count) return;
        this.listeners.delete(listen);
        resolve(found);
      };
      this.listeners.add(listen);
    });
  }
}
