import type { BaseSize } from '../model/load.ts';
import type { Targets } from '../peft/targets.ts';
import type { ParameterCount } from '../peft/trainable.ts';
import type { QuantType } from '../quant/codebooks.ts';
import type { TrainEvent } from '../runs/events.ts';
import type { RunRecord } from '../runs/schema.ts';
import type { DemoFlags } from './flags.ts';

type Event<Type extends TrainEvent['type']> = Extract<TrainEvent, { type: Type }>;

/** What decides the figures of a run. */
export function qloraParameters(
  flags: Omit<DemoFlags, 'targetModules' | 'quant'> & Pick<Targets, 'targetModules'> & { readonly quant: QuantType },
  examples: number,
): RunRecord['parameters'] {
  return {
    quant: flags.quant, doubleQuant: flags.doubleQuant,
    peft: flags.peft, r: flags.r, alpha: flags.alpha, dropout: flags.dropout,
    targetModules: typeof flags.targetModules === 'string' ? flags.targetModules : [...flags.targetModules],
    batchSize: flags.batchSize, accumulation: flags.accumulation,
    learningRate: flags.learningRate, warmup: flags.warmup, schedule: flags.schedule,
    optimizer: flags.optimizer, epochs: flags.epochs, examples,
    checkpointing: flags.checkpointing, seed: flags.seed,
  };
}

/** Known as soon as the base is loaded. */
export function sizeResults(size: BaseSize): object {
  return {
    quantization: {
      bytesBefore: size.bytes16, bytesAfter: size.bytes,
      linearBytesBefore: size.linearBytes16, linearBytesAfter: size.linearBytes,
      bitsPerParameter: size.bitsPerParameter,
    },
  };
}

/** Known as soon as the adapter is in. */
export function countResults(count: ParameterCount): object {
  return { parameters: { ...count } };
}

/** The figures of a finished training that slides embed. */
export function trainingResults(events: readonly TrainEvent[]) {
  const all = <Type extends TrainEvent['type']>(type: Type) =>
    events.filter((event): event is Event<Type> => event.type === type);
  const figures = (when: 'before' | 'after') => {
    const found = all('evaluation').find((event) => event.when === when);
    if (!found) return null;
    const { loss, perplexity, exactMatch, count } = found;
    return { loss, perplexity, exactMatch, count };
  };
  const steps = all('step');
  const start = all('start')[0]!;
  const { type: _type, step: _step, ...memory } = all('memory').at(-1)!;
  const samples = (moment: 'before' | 'after') => all('sample').filter(({ when }) => when === moment);
  const [before, after] = [samples('before'), samples('after')];
  return {
    training: {
      steps: steps.length, epochs: start.epochs, examples: start.examples, effectiveBatch: start.effectiveBatch,
      seconds: steps.at(-1)!.seconds,
      tokensPerSecond: steps.reduce((sum, { tokens }) => sum + tokens, 0) / steps.at(-1)!.seconds,
      firstLoss: steps[0]!.loss, finalLoss: steps.at(-1)!.loss,
    },
    evaluation: { before: figures('before'), after: figures('after') },
    samples: after.map(({ instruction, input, expected, answer }, i) => ({
      instruction, input, expected, before: before[i]?.answer ?? '', after: answer,
    })),
    memory,
  };
}
