import { existsSync, readFileSync } from 'node:fs';
import { constants, getPriority } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Runner } from '../../src/live/runner.ts';
import type { Limits, RunnerOptions } from '../../src/live/runner.ts';
import type { RunView } from '../../src/live/state.ts';
import type { TimedEvent } from '../../src/runs/events.ts';
import { record } from '../deck/record.ts';

vi.setConfig({ testTimeout: 90_000 }); // many processes, on a busy machine

const command = [join(import.meta.dirname, 'child.mjs')];
const ample: Limits = { budget: 20, silence: 20 };

let runner: Runner | undefined;
afterEach(() => runner?.close());

/** A runner that keeps what it is told. */
function start(options: Partial<RunnerOptions> = {}) {
  const told: { views: RunView[]; events: TimedEvent[] } = { views: [], events: [] };
  runner = new Runner({
    command, limits: () => ample, read: () => record(),
    changed: (_id, view) => told.views.push(view),
    event: (_id, _run, event) => told.events.push(event),
    ...options,
  });
  return { runner, ...told, last: () => told.views.at(-1)! };
}

/** How long the stand-in takes to load, in milliseconds. */
const loading = 1500;

/** A runner whose processes are slow to load, and have loaded. */
async function loaded() {
  const started = start({ command: [...command, String(loading)] });
  await started.runner.ready;
  await started.runner.ready; // the second is begun when the first is there
  return {
    ...started,
    /** Milliseconds from the order to the first event of a run that would go on for ever. */
    begins: async (): Promise<number> => {
      const [told, ordered] = [started.events.length, performance.now()];
      void started.runner.run('busy');
      await expect.poll(() => started.events.length, { interval: 2, timeout: 10_000 }).toBeGreaterThan(told);
      return performance.now() - ordered;
    },
  };
}

const texts = (events: readonly TimedEvent[]) => events.flatMap((event) => (event.type === 'text' ? [event.text] : []));
const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a live run', () => {
  it('tells its events as they come, and what it prints', async () => {
    const { runner, events, last } = start();
    await runner.run('good');
    expect(texts(events)).toEqual(expect.arrayContaining(['uno', 'impreso', 'largo'.padEnd(500, '.')]));
    expect(last()).toMatchObject({ source: 'live', state: 'finished', edited: false, header: { id: 'x' } });
    expect(last().reason).toBeUndefined();
    expect(last().events).toEqual(events);
    expect(last().endedAt! - last().startedAt).toBeGreaterThanOrEqual(50);
  });

  it('tells nothing of what native TensorFlow logs as it starts, whatever the level, but its errors', async () => {
    const { runner, events } = start();
    await runner.run('logging');
    expect(texts(events).filter((text) => /WARNING|oneDNN/.test(text))).toEqual([]);
    expect(texts(events)).toContainEqual(expect.stringContaining('un error de verdad'));
  });

  it('is given the edited program', async () => {
    const { runner, events, last } = start();
    await runner.run('good', '/tmp/edited.ts');
    expect(texts(events)).toContain('/tmp/edited.ts');
    expect(last().edited).toBe(true);
  });

  it('is alone: a second one is refused', async () => {
    const { runner } = start();
    const first = runner.run('busy');
    expect(() => runner.run('good')).toThrow('Ya hay una ejecución en marcha');
    await runner.stop();
    await first;
    await runner.run('good');
  });

  it('can be stopped, and keeps what it has told', async () => {
    const { runner, events, last } = start();
    const running = runner.run('busy');
    await expect.poll(() => events.length).toBeGreaterThan(3);
    const { pid } = runner;
    await runner.stop();
    await running;
    expect(last()).toMatchObject({ source: 'live', state: 'stopped' });
    expect(last().reason).toBeUndefined();
    expect(last().events.length).toBeGreaterThan(3);
    await expect.poll(() => alive(pid!)).toBe(false);
  });

  it('begins at once: its process waits with everything in memory', async () => {
    const { runner, begins } = await loaded();
    const { pid } = runner;
    expect(await begins()).toBeLessThan(loading);
    expect(runner.pid).toBe(pid);
  });

  it('begins at once after a stop, too, however soon it comes', async () => {
    const { runner, begins } = await loaded();
    for (let i = 0; i < 2; i++) {
      const { pid } = runner;
      expect(await begins()).toBeLessThan(loading);
      await runner.stop();
      expect(runner.pid).not.toBe(pid);
    }
  });

  it('is not silent while its process still loads', async () => {
    const limits = () => ({ budget: 20, silence: 0.5 });
    const { runner, last } = start({ command: [...command, String(loading)], limits });
    await runner.run('good');
    expect(last()).toMatchObject({ source: 'live', state: 'finished' });
  });

  it('and is followed by others, which load while it goes on', async () => {
    const { runner, begins } = await loaded();
    for (let i = 0; i < 3; i++) {
      expect(await begins()).toBeLessThan(loading);
      await runner.ready;
      await runner.stop();
    }
  });

  it('gives way to the windows, and so does one that loads', async () => {
    const { runner } = start();
    const { pid } = runner;
    expect(getPriority(pid)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
    const group = `/proc/${pid}/autogroup`; // of Linux, if its kernel has them
    if (existsSync(group)) expect(readFileSync(group, 'utf8')).toMatch(/ nice 10\n$/);
  });

  it('takes other processes once the sources have changed, also while it runs', async () => {
    const { runner, begins } = await loaded();
    const { pid } = runner;
    runner.refresh();
    await runner.ready;
    expect(alive(pid!)).toBe(false);
    await begins();
    const running = runner.pid;
    runner.refresh();
    expect(alive(running!)).toBe(true);
  });

  it('takes none that was started before they changed', async () => {
    const changing = [...command];
    const { runner, last } = start({ command: changing });
    await runner.ready;
    await runner.ready; // two wait
    changing[0] = 'nowhere.mjs';
    runner.refresh();
    await runner.run('good');
    expect(last().reason).toContain('ha muerto');
  });

  it('goes on for longer than it may be silent, as long as it tells something', async () => {
    const { runner, events, last } = start({ limits: () => ({ budget: 20, silence: 1 }) });
    await runner.ready;
    const running = runner.run('busy');
    await expect.poll(() => events.length, { interval: 5 }).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(last()).toMatchObject({ source: 'live', state: 'running' });
    await runner.stop();
    await running;
  });

  it('leaves no process behind when all is closed, though one was loading', async () => {
    const { runner } = start({ command: [...command, String(loading)] });
    await runner.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(runner.pid).toBeUndefined();
  });

  it('has another process if the one that waited has died', async () => {
    const { runner, last } = start();
    await runner.ready;
    const { pid } = runner;
    process.kill(pid!, 'SIGKILL');
    await expect.poll(() => alive(pid!)).toBe(false);
    await runner.run('good');
    expect(last()).toMatchObject({ source: 'live', state: 'finished' });
  });
});

describe('in the place of a live run comes the recorded one, and says why,', () => {
  const fallback = async (id: string, options: Partial<RunnerOptions> = {}) => {
    const { runner, last } = start(options);
    await runner.run(id);
    expect(last()).toMatchObject({ source: 'recorded', state: 'finished', header: { startedAt: record().startedAt } });
    expect(last().events.length).toBeGreaterThan(20);
    return last().reason;
  };

  it('when it fails', async () => expect(await fallback('failing')).toBe('La ejecución en vivo ha fallado: No hay modelo.'));
  it('when its process ends early', async () => expect(await fallback('dying')).toBe('La ejecución en vivo ha muerto.'));
  it('when it falls silent', async () => {
    expect(await fallback('silent', { limits: () => ({ budget: 20, silence: 0.3 }) })).toBe(
      'La ejecución en vivo lleva 0,3 s sin dar señales.');
  });
  it('when its time is up, however busy it is', async () => {
    expect(await fallback('busy', { limits: () => ({ budget: 0.4, silence: 20 }) })).toBe(
      'La ejecución en vivo ha agotado su tiempo: 0,4 s.');
  });
  it('when it floods', async () => expect(await fallback('flood')).toContain('más de lo que cabe'));
  it('when it cannot start', async () => expect(await fallback('good', { command: ['nowhere.mjs'] })).toContain('ha muerto'));

  it('within 2 s of being killed, at any moment', async () => {
    for (const wait of [0, 60, 250]) {
      const { runner, events, last } = start();
      const running = runner.run('busy');
      await expect.poll(() => events.length, { interval: 5 }).toBeGreaterThan(0);
      await new Promise((resolve) => setTimeout(resolve, wait));
      const killed = performance.now();
      process.kill(runner.pid!, 'SIGKILL');
      await running;
      expect(last()).toMatchObject({ source: 'recorded', reason: 'La ejecución en vivo ha muerto.' });
      expect(performance.now() - killed).toBeLessThan(2000);
      await runner.close();
    }
  });

  it('unless there is none: then what came stays', async () => {
    const { runner, last } = start({ read: () => undefined });
    await runner.run('failing');
    expect(last()).toMatchObject({ source: 'live', state: 'stopped', reason: 'La ejecución en vivo ha fallado: No hay modelo.' });
    expect(texts(last().events)).toEqual(['uno']);
  });
});

describe('a replay', () => {
  const events: TimedEvent[] = [
    { type: 'text', text: 'a', at: 0 }, { type: 'text', text: 'b', at: 0.4 }, { type: 'text', text: 'c', at: 0.8 },
  ];
  const short = record({ events, seconds: 0.8 }); // its figures come when it ended

  it('tells the recorded events in their time, and starts no process', async () => {
    const { runner, events: heard, last } = start({ replaySpeed: 4, read: () => short });
    expect(runner.pid).toBeUndefined();
    const began = performance.now();
    await runner.run('qlora');
    expect(performance.now() - began).toBeGreaterThan(190);
    expect(texts(heard)).toEqual(['a', 'b', 'c']);
    expect(heard.at(-1)).toMatchObject({ type: 'result' }); // the figures of a record whose events do not tell them
    expect(last()).toMatchObject({ source: 'replay', state: 'finished' });
    expect(runner.pid).toBeUndefined();
  });

  it('can be stopped', async () => {
    const { runner, events: heard, last } = start({ replaySpeed: 0.01, read: () => short });
    const running = runner.run('qlora');
    await expect.poll(() => heard.length).toBe(1);
    await runner.stop();
    await running;
    expect(last()).toMatchObject({ source: 'replay', state: 'stopped' });
  });

  it('says that it does not run the code that was edited', async () => {
    const { runner, last } = start({ replaySpeed: 100, read: () => short });
    await runner.run('qlora', '/tmp/edited.ts');
    expect(last()).toMatchObject({
      source: 'replay', edited: false, reason: 'Aquí solo se reproduce lo grabado: el código editado no se ejecuta.',
    });
    await runner.run('qlora');
    expect(last().reason).toBeUndefined();
  });

  it('of nothing says so', async () => {
    const { runner, last } = start({ replaySpeed: 1, read: () => undefined });
    await runner.run('qlora');
    expect(last().reason).toBe('No hay ninguna ejecución grabada que reproducir.');
  });
});
