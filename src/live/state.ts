import type { TimedEvent } from '../runs/events.ts';
import type { RunHeader } from '../runs/schema.ts';
import type { Clock, TalkTimes } from './clock.ts';

/** A run as the slide shows it. */
export interface RunView {
  /** Counts the runs of the talk: tells a late event of an earlier one. */
  readonly number: number;
  /** Computed now, a recorded run played back, or one shown in the place of a live run that did not end well. */
  readonly source: 'live' | 'replay' | 'recorded';
  /** Spanish: where a live run computes, if not on the machine that serves the talk. */
  readonly where?: string;
  readonly state: 'running' | 'finished' | 'stopped';
  /** Whether the code that runs is not the one of the slide. */
  readonly edited: boolean;
  /** Milliseconds, by the machine's clock. */
  readonly startedAt: number;
  /** Of a live run that is over. */
  readonly endedAt?: number;
  readonly header?: RunHeader;
  readonly events: readonly TimedEvent[];
  /** Spanish: what became of the live run whose place a recording takes. */
  readonly reason?: string;
}

/** What the compiler says of the edited code. Lines and columns from 0, in the region. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly message: string;
}

export interface ExperimentView {
  /** Whether its panel is open, and which of the pages of its charts it shows, from 0. */
  readonly open: boolean;
  readonly page: number;
  /** The region of the program, as it is edited and as the file has it. */
  readonly code: string;
  readonly original: string;
  readonly problems: readonly Problem[];
  readonly run?: RunView;
}

/** All that the windows of a talk share: it lives in the server, and a window that opens late gets it whole. */
export interface TalkState {
  readonly experiments: Readonly<Record<string, ExperimentView>>;
  /** Counts how often the deck has been drawn. */
  readonly deck: number;
  /** The one that the presenter shows, from 0, once a window has told it. */
  readonly slide?: number;
  /** Undefined while it stands. */
  readonly clock?: Clock;
  /** What each slide took the last time. */
  readonly before?: TalkTimes;
}

/** An event of a run, and when its program told it: milliseconds, by the machine's clock. */
export interface Told {
  readonly type: 'event';
  readonly id: string;
  readonly run: number;
  readonly event: TimedEvent;
  readonly sentAt: number;
}

export type Message =
  | { readonly type: 'state'; readonly state: TalkState }
  | { readonly type: 'experiment'; readonly id: string; readonly view: ExperimentView }
  | Told
  | { readonly type: 'slide'; readonly slide: number }
  | { readonly type: 'deck'; readonly deck: number }
  | { readonly type: 'clock'; readonly clock?: Clock; readonly before?: TalkTimes };

/** The state after a message. */
export function apply(state: TalkState, message: Message): TalkState {
  switch (message.type) {
    case 'state': return message.state;
    case 'experiment': return withView(state, message.id, message.view);
    case 'event': {
      const view = state.experiments[message.id];
      if (view?.run?.number !== message.run) return state;
      const events = [...view.run.events, message.event];
      return withView(state, message.id, { ...view, run: { ...view.run, events } });
    }
    case 'slide': return { ...state, slide: message.slide };
    case 'deck': return { ...state, deck: message.deck };
    case 'clock': return { ...state, clock: message.clock, before: message.before };
  }
}

function withView(state: TalkState, id: string, view: ExperimentView): TalkState {
  return { ...state, experiments: { ...state.experiments, [id]: view } };
}
