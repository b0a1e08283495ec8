import { rmSync } from 'node:fs';
import type { Experiment } from '../runs/experiments.ts';
import { Runner } from './runner.ts';
import type { RunnerOptions } from './runner.ts';
import { readRegion, writeEdited } from './source.ts';
import { apply } from './state.ts';
import type { ExperimentView, Message, RunView, TalkState } from './state.ts';
import { restart, turn, wasGiven } from './clock.ts';
import type { Clock, TalkTimes } from './clock.ts';
import type { TypeChecker } from './types.ts';

export interface TalkOptions extends Omit<RunnerOptions, 'changed' | 'event'> {
  readonly experiments: Readonly<Record<string, Experiment>>;
  readonly checker: Pick<TypeChecker, 'check'>;
  /** Told when a live run of the slide's own code has come to its end. */
  readonly finished: (id: string, run: RunView) => void;
  /** What each slide took the last time. */
  readonly before?: TalkTimes | undefined;
  /** That of a talk that goes on. */
  readonly clock?: Clock | undefined;
  /** Told the clock at each turn of a slide and when it is stopped. @returns what each slide has taken */
  readonly timed: (clock: Clock, stopped: boolean) => TalkTimes;
}

/** What happens in a talk, and the state that its windows share. */
export class Talk {
  state: TalkState;
  private readonly runner: Runner;
  private readonly listeners = new Set<(message: Message) => void>();
  private stopped: Clock | undefined;

  constructor(private readonly options: TalkOptions) {
    this.state = {
      deck: 1,
      before: options.before,
      clock: options.clock,
      experiments: Object.fromEntries(Object.entries(options.experiments).map(([id, experiment]) => {
        const original = readRegion(experiment);
        return [id, { open: false, page: 0, code: original, original, problems: [] }];
      })),
    };
    this.runner = new Runner({
      ...options,
      changed: (id, run) => this.change(id, { run }),
      event: (id, run, event, sentAt) => this.publish({ type: 'event', id, run, event, sentAt }),
    });
  }

  /** Hears every message from now on. @returns stops it */
  subscribe(listener: (message: Message) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  has(id: string): boolean {
    return Object.hasOwn(this.state.experiments, id);
  }

  get busy(): boolean {
    return this.runner.busy;
  }

  /** Resolves when the next run can begin at once. */
  get ready(): Promise<void> {
    return this.runner.ready;
  }

  /** The process of the run, or of the next one. */
  get pid(): number | undefined {
    return this.runner.pid;
  }

  /**
   * Runs an experiment as its code stands on the slide.
   * @throws UserError if code that was edited cannot be written beside the program
   */
  run(id: string): void {
    const { code, original } = this.view(id);
    const edited = code === original ? undefined : writeEdited(this.options.experiments[id]!, code);
    this.change(id, { open: true, page: 0 });
    void this.runner.run(id, edited).then(() => {
      if (edited !== undefined) rmSync(edited, { force: true });
      const { run } = this.view(id);
      if (run?.source === 'live' && run.state === 'finished' && !run.edited) this.options.finished(id, run);
    });
  }

  stop(): Promise<void> {
    return this.runner.stop();
  }

  open(id: string, open: boolean): void {
    this.change(id, { open });
  }

  /** Shows another page of its charts. */
  page(id: string, page: number): void {
    this.change(id, { page });
  }

  /** The code of the slide becomes this one; what the compiler says of it follows. */
  edit(id: string, code: string): void {
    this.change(id, { code, problems: code === this.view(id).original ? [] : this.view(id).problems });
    if (code === this.view(id).original) return;
    void this.options.checker.check(this.options.experiments[id]!, code).then((problems) => {
      if (this.view(id).code === code) this.change(id, { problems });
    }, () => {}); // without the compiler, code is edited and run all the same
  }

  /** The presenter's clock runs from now, with this slide on show, or stands. */
  clock(runs: boolean, slide: number): void {
    if (runs) this.publish({ type: 'clock', clock: restart(this.stopped, slide, Date.now()), before: this.state.before });
    else this.stopClock();
  }

  /** The presenter shows another slide. */
  turn(slide: number): void {
    const { clock, before, slide: shown } = this.state;
    if (slide !== shown) this.publish({ type: 'slide', slide });
    if (!clock || clock.slide === slide) return;
    const turned = turn(clock, slide, Date.now());
    this.publish({ type: 'clock', clock: turned, before });
    this.options.timed(turned, false);
  }

  /** The deck has been drawn again. */
  drawn(): void {
    this.publish({ type: 'deck', deck: this.state.deck + 1 });
  }

  /** The programs have changed on disk. What cannot be read, as while it is edited there, stays as it was. */
  sourcesChanged(): void {
    this.runner.refresh();
    for (const [id, experiment] of Object.entries(this.options.experiments)) {
      let original: string;
      try {
        original = readRegion(experiment);
      } catch {
        continue; // drawing the deck again tells why
      }
      const { code, original: before } = this.view(id);
      if (original !== before) this.change(id, { original, code: code === before ? original : code });
    }
  }

  async close(): Promise<void> {
    this.stopClock();
    await this.runner.close();
  }

  private stopClock(): void {
    const { clock, before } = this.state;
    if (!clock) return;
    this.stopped = turn(clock, clock.slide, Date.now());
    const times = this.options.timed(this.stopped, true);
    this.publish({ type: 'clock', before: wasGiven(times) ? times : before });
  }

  private view(id: string): ExperimentView {
    return this.state.experiments[id]!;
  }

  private change(id: string, changes: Partial<ExperimentView>): void {
    this.publish({ type: 'experiment', id, view: { ...this.view(id), ...changes } });
  }

  private publish(message: Message): void {
    this.state = apply(this.state, message);
    for (const listener of this.listeners) listener(message);
  }
}
