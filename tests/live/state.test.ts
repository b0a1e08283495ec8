import { expect, it } from 'vitest';
import { apply } from '../../src/live/state.ts';
import type { ExperimentView, Message, RunView, TalkState } from '../../src/live/state.ts';

const run: RunView = { number: 2, source: 'live', state: 'running', edited: false, startedAt: 0, events: [{ type: 'text', text: 'uno' }] };
const view: ExperimentView = { open: false, page: 0, code: '', original: '', problems: [] };
const state: TalkState = { deck: 1, experiments: { running: { ...view, run }, other: view } };
const event = (id: string, number: number): Message =>
  ({ type: 'event', id, run: number, event: { type: 'text', text: 'dos' }, sentAt: 0 });

it('an event joins those of its run, and no other of the state changes', () => {
  const after = apply(state, event('running', 2));
  expect(after.experiments.running!.run!.events).toEqual([{ type: 'text', text: 'uno' }, { type: 'text', text: 'dos' }]);
  expect(after.experiments.other).toBe(view);
  expect(state.experiments.running!.run!.events).toHaveLength(1);
});

it('an event of an earlier run, or of an experiment that has none, comes too late', () => {
  for (const late of [event('running', 1), event('other', 2), event('nowhere', 2)]) expect(apply(state, late)).toBe(state);
});

it("the presenter's slide is where the others go", () => {
  expect(apply(state, { type: 'slide', slide: 4 })).toEqual({ ...state, slide: 4 });
});

it('a clock that stands is none, and leaves the times of the talk', () => {
  const before = { startedAt: '', slides: [] };
  const running = { ...state, clock: { startedAt: 0, slide: 0, since: 0, spent: [] } };
  expect(apply(running, { type: 'clock', before })).toEqual({ ...state, clock: undefined, before });
});
