import { unbroken } from '../charts/table.ts';
import { formatDuration, formatNumber, formatPercent } from '../format.ts';
import type { RunEvent } from '../runs/events.ts';

/** An event as a line of the panel's text, or none: the charts tell the rest. */
export function lineOf(event: RunEvent): string | undefined {
  const words = wordsOf(event);
  return words && unbroken(words);
}

function wordsOf(event: RunEvent): string | undefined {
  switch (event.type) {
    case 'text': return event.text.trim();
    case 'evaluation': {
      const moment = { before: 'Antes', during: `Paso ${formatNumber(event.step)}`, after: 'Después' }[event.when];
      return `${moment}: pérdida ${formatNumber(event.loss, 3, true)}, acierto exacto ${formatPercent(event.exactMatch)}`;
    }
    case 'sample': {
      const question = `${event.instruction} ${event.input}`.trim();
      return `${question} → ${event.answer.trim().replaceAll(/\s*\n\s*/g, ' ') || '(nada)'}`;
    }
    default: return undefined;
  }
}

/** How far a training is: its last step, in a line that takes the place of the one before. */
export function progressOf(events: readonly RunEvent[]): string {
  const step = events.findLast((event) => event.type === 'step');
  if (step?.type !== 'step') return '';
  const start = events.findLast((event) => event.type === 'start');
  const of = start?.type === 'start' ? ` de ${formatNumber(start.steps)}` : '';
  const left = step.secondsLeft > 0 ? ` · quedan ${formatDuration(step.secondsLeft)}` : ''; // after the last: the examination
  return `paso ${formatNumber(step.step)}${of} · pérdida ${formatNumber(step.loss, 3, true)} · `
    + `${formatNumber(step.tokensPerSecond)} tokens/s${left}`;
}
