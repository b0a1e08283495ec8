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

  it('is that of the latest training, of a run with several', () => {
    expect(progressOf([start, step(125, 0), { ...start, steps: 50 }, step(3, 0.5)])).toBe(
      'paso 3 de 50 · pérdida 0,500 · 1235 tokens/s · quedan 0,5 s');
  });

  it('is told without the number of steps as long as that is not known', () => {
    expect(progressOf([step(3, 0)])).toBe('paso 3 · pérdida 0,500 · 1235 tokens/s');
  });

  it('has nothing left after the last one', () => {
    expect(progressOf([start, step(125, 0)])).toBe('paso 125 de 125 · pérdida 0,500 · 1235 tokens/s');
  });
});

describe('a line of the panel', () => {
  it('keeps the sign of a percentage on the line of its number', () => {
    const text = 'Acierto 67 %, y antes 0,5 %';
    expect(lineOf({ type: 'text', text: ` ${text}\n` })).toBe('Acierto 67\u00a0%, y antes 0,5\u00a0%');
    const scores = { loss: 0.1, perplexity: 1.1, exactMatch: 0.885, count: 364 };
    expect(lineOf({ type: 'evaluation', when: 'after', step: 9, ...scores })).toBe(
      'Después: pérdida 0,100, acierto exacto 88,5\u00a0%');
  });

  it('is a question and its answer, on one line', () => {
    const sample = { type: 'sample', when: 'after', instruction: 'Suma.', input: '', expected: '3', answer: ' uno\n  dos\n' } as const;
    expect(lineOf(sample)).toBe('Suma. → uno dos');
    expect(lineOf({ ...sample, input: '1 + 2', answer: ' \n' })).toBe('Suma. 1 + 2 → (nada)');
  });

  it('is none for what the charts tell', () => {
    expect(lineOf({ type: 'start', steps: 1, epochs: 1, examples: 1, batchSize: 1, accumulation: 1, effectiveBatch: 1, resumedAt: 0 }))
      .toBeUndefined();
  });
});
