import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import type { Group, Message } from './collectives.ts';
import type { Job, Span } from './job.ts';
import type { Stage } from './stages.ts';
import type { Zero } from './zero.ts';

/** What a pipeline stage does with one micro-batch, from 0. */
export interface Action {
  readonly type: 'forward' | 'backward';
  readonly micro: number;
}

/** The order in which one of so many stages goes through so many micro-batches. */
type Schedule = (stages: number, stage: number, micros: number) => Action[];

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

export const schedules = {
  /** All forward, then all back, the last one first (GPipe, Huang et al., 2019): every input is kept at once. */
  'gpipe': (_stages, _stage, micros) => [
    ...range(micros).map((micro) => ({ type: 'forward' as const, micro })),
    ...range(micros).reverse().map((micro) => ({ type: 'backward' as const, micro })),
  ],
  /** One forward, one back as soon as there is one (Narayanan et al., 2021): a stage keeps few inputs. */
  '1f1b': (stages, stage, micros) => {
    const ahead = stages - stage - 1;
    return range(micros + ahead).flatMap((i) => [
      ...(i < micros ? [{ type: 'forward' as const, micro: i }] : []),
      ...(i >= ahead ? [{ type: 'backward' as const, micro: i - ahead }] : []),
    ]);
  },
} satisfies Record<Job['schedule'], Schedule>;

/**
 * One rank's part of a step: micro-batches come from the stage before and go to the one after; gradients the other way.
 * A stage keeps its input alone and computes itself again on the way back, as GPipe does.
 *
 * @param group the stages of one pipeline, in order
 * @param micros calls back with the stages of the model that this rank has, and the shape of what they take
 * @param seconds the time since the step began
 * @returns the sum of losses, of the last stage, and the most inputs that were kept at once
 */
export function runPipeline(
  group: Group, schedule: readonly Action[], zero: Zero,
  micros: (micro: number, use: (stages: readonly Stage[], shape: [number, number]) => void) => void,
  seconds: () => number, spans: Span[],
): { loss: number; mostKept: number } {
  const [isFirst, isLast] = [group.index === 0, group.index === group.size - 1];
  const kept = new Map<number, Tensor2D>();
  let [loss, mostKept] = [0, 0];
  // What goes on goes while the next is waited for: neighbours that first send, and both at once, would wait for ever.
  let leaving: Message | undefined;
  const receive = (shape: [number, number], from: number): Tensor2D => {
    const values = new Float32Array(shape[0] * shape[1]);
    group.exchange(leaving, { values, other: from });
    leaving = undefined;
    return tf.tensor2d(values, shape);
  };
  const sendRest = () => {
    group.exchange(leaving, undefined);
    leaving = undefined;
  };
  const send = (x: Tensor, to: number) => {
    leaving = { values: x.dataSync<'float32'>(), other: to };
    x.dispose();
  };
  zero.gatherAll();
  for (const { type, micro } of schedule) {
    micros(micro, (stages, shape) => {
      const other = type === 'forward' ? group.index - 1 : group.index + 1;
      const comes = type === 'forward' ? !isFirst : !isLast;
      const received = comes ? receive(shape, other) : undefined;
      sendRest();
      const from = seconds(); // the wait is the bubble
      if (type === 'forward') {
        const input = received ?? tf.tensor2d([], [0, 0]);
        kept.set(micro, input);
        mostKept = Math.max(mostKept, kept.size);
        const output = tf.tidy(() => stages.reduce<Tensor>((x, stage) => stage.run(x as Tensor2D), input));
        output.dataSync();
        spans.push({ type, micro, from, to: seconds() });
        if (isLast) {
          loss += output.dataSync()[0]!;
          output.dispose();
        } else {
          send(output, group.index + 1);
        }
      } else {
        const input = kept.get(micro)!;
        const dx = zero.backward(stages, input, received, !isFirst);
        kept.delete(micro);
        spans.push({ type, micro, from, to: seconds() });
        tf.dispose([input, ...(received ? [received] : [])]);
        if (dx) send(dx, group.index - 1);
      }
    });
  }
  sendRest();
  zero.releaseAll();
  return { loss, mostKept };
}
