import { z } from 'zod';

/**
 * The one stream of events that a run emits. The terminal, the recorder and the slide read these and nothing else.
 */
const evaluation = z.object({
  /** Mean cross-entropy over the answer tokens, in nats. */
  loss: z.number(),
  perplexity: z.number(),
  /** Share of questions that greedy generation answers token for token as expected, 0 to 1. */
  exactMatch: z.number().min(0).max(1),
  /** How many questions were asked: the held-out ones, or in the course of a run those of its validation. */
  count: z.number().int(),
});

/** In bytes, but for the pages. */
const memory = z.object({
  /** Held for the frozen base: packed 4-bit codes and their scales, and what stays wide. */
  base: z.number(),
  adapter: z.number(),
  /** Optimizer states: all of them, and those in resident pages. */
  optimizer: z.number(),
  optimizerResident: z.number(),
  /** How many pages have been brought back so far. */
  optimizerPageIns: z.number().int(),
  /** Block inputs kept by gradient checkpointing during one step. */
  checkpoints: z.number(),
  /** The most bytes that tensors held at any moment of training so far. */
  peakTensors: z.number(),
  /** Resident memory of the process. */
  process: z.number(),
});

export const trainEvent = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('start'),
    steps: z.number().int(),
    epochs: z.number(),
    examples: z.number().int(),
    batchSize: z.number().int(),
    accumulation: z.number().int(),
    effectiveBatch: z.number().int(),
    /** The step that this run goes on from: 0, or that of the checkpoint. */
    resumedAt: z.number().int(),
  }),
  z.object({
    type: z.literal('step'),
    /** Optimizer steps done, from 1. */
    step: z.number().int(),
    epoch: z.number(),
    loss: z.number(),
    learningRate: z.number(),
    /** Global norm before clipping. */
    gradientNorm: z.number(),
    tokens: z.number().int(),
    tokensPerSecond: z.number(),
    /** Since the run began, and what is left by the pace so far. */
    seconds: z.number(),
    secondsLeft: z.number(),
  }),
  z.object({ type: z.literal('evaluation'), step: z.number().int(), when: z.enum(['before', 'during', 'after']), ...evaluation.shape }),
  z.object({
    type: z.literal('sample'),
    when: z.enum(['before', 'after']),
    instruction: z.string(),
    input: z.string(),
    expected: z.string(),
    answer: z.string(),
  }),
  z.object({ type: z.literal('memory'), step: z.number().int(), ...memory.shape }),
  z.object({ type: z.literal('done'), steps: z.number().int(), seconds: z.number(), stopped: z.enum(['finished', 'early', 'interrupted']) }),
]);

/** What any program tells, besides a training loop's events. */
export const runEvent = z.discriminatedUnion('type', [
  ...trainEvent.options,
  /** A line for people. */
  z.object({ type: z.literal('text'), text: z.string(), heading: z.boolean().optional() }),
  /** Figures as they are measured: each key takes its place among the results of the run. */
  z.object({ type: z.literal('result'), results: z.record(z.string(), z.json()) }),
]);

/** An event with its moment, in seconds since the run began: what a recorded run is played back by. */
export const timedEvent = runEvent.and(z.object({ at: z.number().nonnegative().optional() }));

export type TrainEvent = z.infer<typeof trainEvent>;
export type RunEvent = z.infer<typeof runEvent>;
export type TimedEvent = z.infer<typeof timedEvent>;
export type Evaluation = z.infer<typeof evaluation>;
export type MemoryUse = z.infer<typeof memory>;
