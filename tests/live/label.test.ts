import { describe, expect, it } from 'vitest';
import { runLabel } from '../../src/live/label.ts';
import type { RunView } from '../../src/live/state.ts';
import { toldBy } from '../../src/runs/schema.ts';
import { record } from '../deck/record.ts';

const live: RunView = { number: 1, source: 'live', state: 'running', edited: false, startedAt: 1000, events: [] };
const { header } = toldBy(record());

describe('where a result comes from, in words', () => {
  it('a live run counts until it is over, whatever its last event says of the time', () => {
    expect(runLabel(live, 13_000)).toBe('en vivo · 12 s');
    const printed = [{ type: 'text', text: 'sin hora' }] as const;
    expect(runLabel({ ...live, state: 'stopped', endedAt: 13_000, events: printed }, 99_000)).toBe('en vivo · detenida a los 12 s');
    expect(runLabel({ ...live, state: 'finished', endedAt: 13_000, edited: true }, 99_000)).toBe(
      'en vivo · terminada en 12 s · código editado');
  });

  it('a live run says where, if not on the machine of the talk, and never less than nothing', () => {
    expect(runLabel({ ...live, where: 'en esta página' }, 6_990)).toBe('en vivo, en esta página · 5,9 s');
    expect(runLabel(live, 900)).toBe('en vivo · 0 s'); // a window's clock that is behind the server's
  });

  it('a recorded one says when and where, whether it is being played back, and whether that was cut short', () => {
    const recorded = 'grabado el 2 mar 2026, en Una & otra (2 núcleos)';
    const run = { ...live, header };
    expect(runLabel({ ...run, source: 'recorded', state: 'finished' }, 0)).toBe(recorded);
    expect(runLabel({ ...run, source: 'replay', state: 'finished' }, 0)).toBe(`${recorded} · reproducción`);
    expect(runLabel({ ...run, source: 'replay', state: 'stopped' }, 0)).toBe(`${recorded} · reproducción detenida`);
    expect(runLabel({ ...live, source: 'replay', state: 'stopped' }, 0)).toBe('sin grabación · reproducción detenida');
  });
});
