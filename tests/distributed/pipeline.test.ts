import { describe, expect, it } from 'vitest';
import { schedules } from '../../src/distributed/pipeline.ts';
import type { Action } from '../../src/distributed/pipeline.ts';

/** When each action ends, if forward takes 1 and backward 2, and each waits for the stage before or after it. */
function lengthOf(schedule: keyof typeof schedules, stages: number, micros: number): number {
  const rows = Array.from({ length: stages }, (_, stage) => [...schedules[schedule](stages, stage, micros)]);
  const ends = new Map<string, number>();
  const key = (stage: number, { type, micro }: Action) => `${stage} ${type} ${micro}`;
  const clock = rows.map(() => 0);
  while (rows.some((row) => row.length > 0)) {
    let went = false;
    rows.forEach((row, stage) => {
      const action = row[0];
      if (!action) return;
      const other = stage + (action.type === 'forward' ? -1 : 1);
      const ready = other < 0 || other === stages ? 0 : ends.get(key(other, action));
      if (ready === undefined) return;
      clock[stage] = Math.max(clock[stage]!, ready) + (action.type === 'forward' ? 1 : 2);
      ends.set(key(stage, action), clock[stage]!);
      row.shift();
      went = true;
    });
    if (!went) throw new Error('all stages wait');
  }
  return Math.max(...clock);
}

/** The most micro-batches that a stage has sent forward and not yet back. */
function mostKept(actions: readonly Action[]): number {
  let now = 0;
  return Math.max(...actions.map(({ type }) => (now += type === 'forward' ? 1 : -1)));
}

describe.each(['gpipe', '1f1b'] as const)('%s', (name) => {
  it.each([[2, 4], [4, 4], [4, 8], [3, 1], [4, 2]])('takes every micro-batch once each way (%i stages, %i)', (stages, micros) => {
    for (let stage = 0; stage < stages; stage++) {
      const actions = schedules[name](stages, stage, micros);
      for (const type of ['forward', 'backward'] as const) {
        const taken = actions.filter((action) => action.type === type).map(({ micro }) => micro);
        expect(taken.sort()).toEqual([...Array(micros).keys()]);
      }
    }
  });

  it.each([[2, 4], [4, 4], [4, 8]])('waits (p − 1)/m of the time that it works (%i stages, %i micro-batches)', (stages, micros) => {
    const work = 3 * micros;
    expect(lengthOf(name, stages, micros) / work - 1).toBeCloseTo((stages - 1) / micros, 12);
  });
});

describe('the order of the papers', () => {
  const written = (actions: readonly Action[]) =>
    actions.map(({ type, micro }) => `${type === 'forward' ? 'F' : 'B'}${micro}`).join(' ');

  it('GPipe takes the last micro-batch back first', () => {
    for (const stage of [0, 1]) expect(written(schedules.gpipe(2, stage, 3))).toBe('F0 F1 F2 B2 B1 B0');
  });

  it('1F1B takes the first one back first, as soon as it may', () => {
    expect([0, 1, 2].map((stage) => written(schedules['1f1b'](3, stage, 4)))).toEqual([
      'F0 F1 F2 B0 F3 B1 B2 B3', 'F0 F1 B0 F2 B1 F3 B2 B3', 'F0 B0 F1 B1 F2 B2 F3 B3',
    ]);
  });
});

describe('inputs kept at once', () => {
  it('are those of all micro-batches in GPipe, and of as many as stages lie ahead in 1F1B', () => {
    for (const stage of [0, 1, 2, 3]) {
      expect(mostKept(schedules.gpipe(4, stage, 8))).toBe(8);
      expect(mostKept(schedules['1f1b'](4, stage, 8))).toBe(4 - stage);
    }
  });
});
