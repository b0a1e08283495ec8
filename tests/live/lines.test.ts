import { describe, expect, it } from 'vitest';
import { lineOf, progressOf } from '../../src/live/lines.ts';
import type { RunEvent } from '../../src/runs/events.ts';

describe('how far a training is', () => {
  const start: RunEvent = {
    type: 'start', steps: 125, epochs: 1, examples: 1000, batchSize: 8, accumulation: 1, effectiveBatch: 8, resumedAt: 0,
  };
  const step = (step: number, secondsLeft: number): RunEvent => ({
    type: 'step', step, epoch: 1, loss: 0.5, learningRate: 1e-3, gradientNorm: 1, tokens: 400, tokensPerSecond: 1234.5, seconds: 1,
    secondsLeft,
  });

  it('is nothing before the first step', () => {
    expect(progressOf([start])).toBe('');
  });

  it('is its last step, with what is left', () => {
    expect(progressOf([start, step(1, 50), step(2, 49)])).toBe('paso 2 de 125 · pérdida 0,500 · 1235 tokens/s · quedan 49 s');
  });

  it('has nothing left after the last one', () => {
    expect(progressOf([start, step(125, 0)])).toBe('paso 125 de 125 · pérdida 0,500 · 1235 tokens/s');
  });
});

describe('a line of the panel', () => {
  it('keeps the sign of a percentage on the line of its number', () => {
    const text = 'Acierto 67 %, y antes 0,5 %';
    expect(lineOf({ type: 'text', text })).toBe('Acierto 67\u00a0%, y antes 0,5\u00a0%');
    const scores = { loss: 0.1, perplexity: 1.1, exactMatch: 0.885, count: 364 };
    expect(lineOf({ type: 'evaluation', when: 'after', step: 9, ...scores })).toContain('88,5\u00a0%');
  });
});
