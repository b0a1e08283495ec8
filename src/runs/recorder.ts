import type { Pin } from '../checkpoint/hub.ts';
import type { RunEvent, TimedEvent } from './events.ts';
import { provenance } from './provenance.ts';
import { recordOf } from './schema.ts';
import type { RunHeader, RunRecord } from './schema.ts';

/** What a program tells: lines for people, and figures as they become known. */
export type Tell = Pick<Recorder, 'line' | 'result'>;

/** Told what a run does while it does it; gives each event its moment and in the end the record. */
export class Recorder {
  private readonly startedAt = new Date();
  private readonly began = performance.now();
  private readonly events: TimedEvent[] = [];
  private header: RunHeader | undefined;

  /**
   * @param about which experiment it is, the command that does it again, and the backend that computes
   * @param show hears each event
   * @param identified hears what is known of the run, once that is known
   */
  constructor(
    private readonly about: Pick<RunHeader, 'id' | 'title' | 'command'> & { readonly backend: string },
    private readonly show: (event: TimedEvent) => void,
    private readonly identified: (header: RunHeader) => void = () => {},
  ) {}

  tell(event: RunEvent): void {
    const timed = { at: Math.round(performance.now() - this.began) / 1000, ...event };
    this.events.push(timed);
    this.show(timed);
  }

  /** A line for people. */
  line(text: string): void {
    this.tell({ type: 'text', text });
  }

  heading(text: string): void {
    this.tell({ type: 'text', text, heading: true });
  }

  /** Figures, as they are measured. */
  result(results: object): void {
    this.tell({ type: 'result', results: results as RunRecord['results'] });
  }

  /** What the run is made from: the files that it has just read, its parameters, and what was downloaded for it. */
  origin(inputs: readonly string[], parameters: RunHeader['parameters'], sources: readonly Pin[] = []): void {
    const { backend, ...about } = this.about;
    this.header = {
      format: 1, ...about, startedAt: this.startedAt.toISOString(), parameters,
      provenance: provenance(about.id, backend, inputs, sources),
    };
    this.identified(this.header);
  }

  /** The run as far as it has come, once its origin is known. */
  get record(): RunRecord {
    return recordOf(this.header!, this.events);
  }
}
