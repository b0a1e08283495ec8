import { formatDuration } from '../format.ts';
import type { RunHeader } from '../runs/schema.ts';
import { dayOf, processorOf } from '../runs/words.ts';
import type { RunView } from './state.ts';

/** Where a result comes from, in words: «en vivo · 12 s», «grabado el 24 nov 2026, en AMD EPYC (2 núcleos)». */
export function runLabel({ source, where, state, edited, startedAt, endedAt, header }: RunView, now: number): string {
  const code = edited ? ' · código editado' : '';
  if (source !== 'live') {
    const replayed = source === 'replay' ? ` · reproducción${state === 'stopped' ? ' detenida' : ''}` : '';
    return `${header ? recordedLabel(header) : 'sin grabación'}${replayed}`;
  }
  const seconds = Math.max(0, (endedAt ?? now) - startedAt) / 1000;
  const ended = { running: '', finished: 'terminada en ', stopped: 'detenida a los ' }[state];
  return `en vivo${where ? `, ${where}` : ''} · ${ended}${formatDuration(Math.floor(seconds * 10) / 10)}${code}`;
}

/** «grabado el 24 nov 2026, en AMD EPYC (2 núcleos)». */
export function recordedLabel(header: RunHeader): string {
  return `grabado el ${dayOf(header)}, en ${processorOf(header)} (${header.provenance.machine.cores} núcleos)`;
}
