import { formatDuration } from '../format.ts';
import type { TimedEvent } from '../runs/events.ts';
import { toldBy } from '../runs/schema.ts';
import type { RunHeader, RunRecord } from '../runs/schema.ts';
import { Program } from './program.ts';
import { replay } from './replay.ts';
import type { RunView } from './state.ts';

/** In seconds. */
export interface Limits {
  /** What a run may take. */
  readonly budget: number;
  /** How long it may tell nothing once its process has loaded. */
  readonly silence: number;
}

export interface RunnerOptions {
  /** Arguments of Node that start the process of a run. */
  readonly command: readonly string[];
  /** The recorded run that is played back, or takes the place of a live one. */
  readonly read: (id: string) => RunRecord | undefined;
  readonly limits: (id: string) => Limits;
  /** Plays recorded runs back at this speed, and computes nothing. */
  readonly replaySpeed?: number | undefined;
  /** Told each change of a run but its events, which come one by one. */
  readonly changed: (id: string, run: RunView) => void;
  readonly event: (id: string, run: number, event: TimedEvent, sentAt: number) => void;
}

/** A program gone wild does not fill the memory of the windows. */
const mostEvents = 20_000;

/**
 * Processes that wait for a run with everything in memory, some 240 MB each: one for the next run, and one for that
 * which follows as soon as the first is stopped, when the third is still loading.
 */
const mostWaiting = 2;

/** Runs one experiment at a time, and has the recorded run take over from a live one that does not end well. */
export class Runner {
  /** The first is for the next run. */
  private waiting: Program[] = [];
  /** The one that was started last, until it has everything in memory. */
  private loading: Program | undefined;
  private running: Program | undefined;
  private count = 0;
  private current: { readonly id: string; readonly abort: AbortController; readonly done: Promise<void> } | undefined;
  private closed = false;

  constructor(private readonly options: RunnerOptions) {
    this.fill();
  }

  get busy(): boolean {
    return this.current !== undefined;
  }

  /** Resolves when the process of the next run has everything in memory. */
  get ready(): Promise<void> {
    return Promise.resolve(this.loading?.ready).then(() => this.waiting[0]?.ready);
  }

  /** The process that computes, or that waits to. */
  get pid(): number | undefined {
    return (this.running ?? this.waiting[0])?.pid;
  }

  /**
   * Starts a run; the options are told how it goes on.
   * @param edited a program that takes the place of the experiment's own; the run does not touch it
   * @returns resolves when the run is over, however it ended
   * @throws Error if there is one already
   */
  run(id: string, edited?: string): Promise<void> {
    if (this.current) throw new Error('Ya hay una ejecución en marcha');
    const abort = new AbortController();
    const done = this.follow(id, edited, abort.signal).finally(() => { this.current = undefined; });
    this.current = { id, abort, done };
    return done;
  }

  /** Ends the run there is, which keeps what it has told. */
  async stop(): Promise<void> {
    this.current?.abort.abort();
    await this.current?.done;
  }

  /** Those that wait have what they were started with: others take their place when the sources change. */
  refresh(): void {
    for (const program of this.waiting.splice(0)) void program.kill();
    this.fill();
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.stop();
    await Promise.all(this.waiting.splice(0).map((program) => program.kill()));
  }

  /** Starts what is missing of those that wait: one after another, so that the next run's is soon ready. */
  private fill(): void {
    if (this.options.replaySpeed !== undefined || this.closed) return;
    if (this.loading || this.waiting.length >= mostWaiting) return;
    const program = new Program(this.options.command);
    this.waiting.push(program);
    this.loading = program;
    void program.ready.then(() => {
      this.loading = undefined;
      this.fill();
    });
  }

  /** The process of a run; another one begins to wait in its place. */
  private take(): Program {
    this.waiting = this.waiting.filter(({ alive }) => alive);
    const program = this.waiting.shift() ?? new Program(this.options.command);
    this.fill();
    return program;
  }

  private async follow(id: string, edited: string | undefined, signal: AbortSignal): Promise<void> {
    const { changed, event, read, replaySpeed } = this.options;
    const events: TimedEvent[] = [];
    const live = replaySpeed === undefined;
    let run: RunView = {
      number: ++this.count, source: live ? 'live' : 'replay', state: 'running',
      edited: live && edited !== undefined, startedAt: Date.now(), events,
    };
    const change = (changes: Partial<RunView>) => changed(id, run = { ...run, events: [...events], ...changes });
    const tell = (told: TimedEvent, sentAt: number) => {
      events.push(told);
      event(id, run.number, told, sentAt);
    };
    const end = (state: 'finished' | 'stopped', changes: Partial<RunView> = {}) =>
      change({ state, endedAt: Date.now(), ...changes });
    const record = read(id);
    const recorded = record && toldBy(record);
    try {
      if (live) {
        change({});
        await this.compute(id, edited, signal, tell, (header) => change({ header }));
      } else {
        if (!recorded) throw new Error('No hay ninguna ejecución grabada que reproducir.');
        const reason = 'Aquí solo se reproduce lo grabado: el código editado no se ejecuta.';
        change({ header: recorded.header, ...(edited !== undefined && { reason }) });
        for await (const told of replay(recorded.events, replaySpeed, signal)) tell(told, Date.now());
      }
      end(signal.aborted ? 'stopped' : 'finished');
    } catch (error) {
      const reason = (error as Error).message;
      if (signal.aborted) end('stopped');
      else if (recorded) change({ source: 'recorded', state: 'finished', ...recorded, reason });
      else end('stopped', { reason });
    }
  }

  /** Resolves when the program has come to its end; throws when it fails, dies, falls silent or takes too long. */
  private async compute(
    id: string, edited: string | undefined, signal: AbortSignal,
    tell: (event: TimedEvent, sentAt: number) => void, identified: (header: RunHeader) => void,
  ): Promise<void> {
    const program = this.running = this.take();
    const { budget, silence } = this.options.limits(id);
    let timeUp: NodeJS.Timeout | undefined;
    let silent: NodeJS.Timeout | undefined;
    let told = 0;
    try {
      await new Promise<void>((resolve, reject) => {
        const giveUp = (reason: string) => reject(new Error(reason));
        signal.addEventListener('abort', () => giveUp(''));
        timeUp = setTimeout(giveUp, budget * 1000, `La ejecución en vivo ha agotado su tiempo: ${formatDuration(budget)}.`);
        void program.ready.then(() => {
          if (this.running !== program) return; // it was over before
          silent = setTimeout(giveUp, silence * 1000, `La ejecución en vivo lleva ${formatDuration(silence)} sin dar señales.`);
        });
        program.run({ id, edited }, (message) => {
          silent?.refresh();
          if (message.type === 'header') identified(message.header);
          else if (told++ < mostEvents) tell(message.event, message.sentAt);
          else giveUp('La ejecución en vivo cuenta más de lo que cabe.');
        }).then(resolve, reject);
      });
    } finally {
      this.running = undefined;
      clearTimeout(timeUp);
      clearTimeout(silent);
      await program.kill();
    }
  }
}
