import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Talk } from '../../src/live/talk.ts';
import type { TalkOptions } from '../../src/live/talk.ts';
import type { TalkTimes } from '../../src/live/clock.ts';
import type { Message, Problem } from '../../src/live/state.ts';
import { experiments } from '../../src/runs/experiments.ts';
import { record } from '../deck/record.ts';
import { temporaryFolder } from '../temporary.ts';

const at = temporaryFolder();

let talk: Talk;
afterEach(() => talk.close());

/** A talk with one program, `uno();`, that plays a recorded run back in no time, and what it has told. */
function start(options: Partial<TalkOptions> = {}) {
  const told = {
    messages: [] as Message[], finished: [] as string[], timed: [] as { slide: number; stopped: boolean }[],
  };
  write('uno();');
  const experiment = { ...experiments.qlora, file: at('programa.ts'), region: 'parte' };
  talk = new Talk({
    experiments: { good: experiment, busy: experiment }, checker: { check: async () => [] },
    command: [join(import.meta.dirname, 'child.mjs')], read: () => record({ events: [{ type: 'text', text: 'grabado', at: 0 }] }),
    limits: () => ({ budget: 20, silence: 20 }), replaySpeed: 1e6,
    finished: (id) => told.finished.push(id),
    timed(clock, stopped) {
      told.timed.push({ slide: clock.slide, stopped });
      return times(...Array.from(clock.spent, (spent) => spent ?? 0));
    },
    ...options,
  });
  talk.subscribe((message) => told.messages.push(message));
  return told;
}

const write = (code: string) => writeFileSync(at('programa.ts'), `// #region parte\n${code}\n// #endregion\n`);
const times = (...seconds: number[]): TalkTimes =>
  ({ startedAt: '2026-03-02T10:00:00.000Z', slides: seconds.map((one) => ({ title: 'x', share: 1, seconds: one })) });
const idle = () => expect.poll(() => talk.busy, { interval: 5 }).toBe(false);

describe('what a run leaves', () => {
  it("is told of a live one of the slide's own code that has come to its end", async () => {
    const { finished } = start({ replaySpeed: undefined });
    talk.run('good');
    await idle();
    expect(finished).toEqual(['good']);
  });

  it('and of no other: edited, stopped or played back', async () => {
    const live = start({ replaySpeed: undefined });
    talk.edit('good', 'dos();');
    talk.run('good');
    await idle();
    expect(talk.state.experiments.good!.run).toMatchObject({ source: 'live', state: 'finished', edited: true });
    talk.run('busy');
    await talk.stop();
    await idle();
    expect(live.finished).toEqual([]);
    expect(readdirSync(at('.'))).toEqual(['programa.ts']); // the edited one was there only while it ran
    await talk.close();
    const replayed = start();
    talk.run('good');
    await idle();
    expect(talk.state.experiments.good!.run).toMatchObject({ source: 'replay', state: 'finished' });
    expect(replayed.finished).toEqual([]);
  });

  it('is shown from its first chart on, in an open panel', async () => {
    start();
    talk.page('good', 2);
    talk.run('good');
    expect(talk.state.experiments.good).toMatchObject({ open: true, page: 0 });
    await idle();
  });
});

describe('the code of a slide', () => {
  const problem: Problem = { line: 0, column: 0, length: 1, message: 'no' };

  it('has the problems that the compiler tells of it, not of what it was before', async () => {
    const answers: ((problems: Problem[]) => void)[] = [];
    start({ checker: { check: () => new Promise((resolve) => answers.push(resolve)) } });
    talk.edit('good', 'dos(');
    talk.edit('good', 'tres(');
    answers[0]!([problem, problem]);
    await Promise.resolve();
    expect(talk.state.experiments.good!.problems).toEqual([]);
    answers[1]!([problem]);
    await expect.poll(() => talk.state.experiments.good!.problems, { interval: 5 }).toEqual([problem]);
    talk.edit('good', 'cuatro('); // what was told stays until more is known
    expect(talk.state.experiments.good!.problems).toEqual([problem]);
    talk.edit('good', 'uno();'); // as the file has it
    expect(talk.state.experiments.good!.problems).toEqual([]);
    expect(answers).toHaveLength(3);
  });

  it('follows its file, unless it has been edited', () => {
    start();
    talk.edit('busy', 'mío();');
    write('dos();');
    talk.sourcesChanged();
    expect(talk.state.experiments.good).toMatchObject({ code: 'dos();', original: 'dos();' });
    expect(talk.state.experiments.busy).toMatchObject({ code: 'mío();', original: 'dos();' });
  });

  it('runs in a process that was started since its file changed', async () => {
    start({ replaySpeed: undefined });
    const { pid } = talk;
    talk.sourcesChanged();
    await talk.ready;
    await expect.poll(() => talk.pid).toBeDefined();
    expect(talk.pid).not.toBe(pid);
  });

  it('tells its windows nothing when its file says the same', () => {
    const { messages } = start();
    talk.sourcesChanged();
    expect(messages).toEqual([]);
  });
});

describe('the clock', () => {
  it('tells each turn to another slide, once', () => {
    const { timed, messages } = start();
    talk.turn(1); // it stands
    talk.clock(true, 1);
    talk.turn(1);
    talk.turn(2);
    talk.turn(2);
    expect(timed).toEqual([{ slide: 2, stopped: false }]);
    expect(messages.map(({ type }) => type)).toEqual(['slide', 'clock', 'slide', 'clock']); // windows follow it either way
    talk.clock(false, 2);
    talk.clock(false, 2);
    expect(timed.slice(1)).toEqual([{ slide: 2, stopped: true }]);
  });

  it('is stopped with the talk, whose times are told', async () => {
    const { timed } = start({ clock: { startedAt: 0, slide: 3, since: 0, spent: [] } });
    await talk.close();
    expect(timed).toEqual([{ slide: 3, stopped: true }]);
  });

  it('that was stopped by mistake goes on where it was', () => {
    start({ clock: { startedAt: 5, slide: 0, since: 5, spent: [] } });
    talk.clock(false, 0);
    talk.clock(true, 0);
    expect(talk.state.clock).toMatchObject({ startedAt: 5 });
  });

  it('leaves the times of the last talk as they were until this one has been given', () => {
    const before = times(60, 60);
    let now = times(2);
    start({ before, timed: () => now });
    talk.clock(true, 0);
    expect(talk.state.before).toEqual(before);
    talk.turn(1);
    expect(talk.state.before).toEqual(before);
    talk.clock(false, 0);
    expect(talk.state.before).toEqual(before);
    now = times(30, 30);
    talk.clock(true, 0);
    talk.clock(false, 0);
    expect(talk.state.before).toEqual(now);
  });
});

describe('who listens', () => {
  it('hears no more once it does not', () => {
    const { messages } = start();
    const heard: Message[] = [];
    const stop = talk.subscribe((message) => heard.push(message));
    talk.open('good', true);
    stop();
    talk.drawn();
    expect(heard).toHaveLength(1);
    expect(messages.map(({ type }) => type)).toEqual(['experiment', 'deck']);
    expect(talk.state.deck).toBe(2); // its windows draw it again
  });
});
