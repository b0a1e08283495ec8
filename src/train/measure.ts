import * as tf from '@tensorflow/tfjs';
import { baseSize, loadModel } from '../model/load.ts';
import { saveAdapter } from '../peft/folder.ts';
import { addLora } from '../peft/lora.ts';
import { trainableParameters } from '../peft/trainable.ts';
import { Random } from '../random.ts';
import { median } from '../statistics.ts';
import { graphMode } from '../tensor/graph-mode.ts';
import { KernelClock } from '../tensor/webgpu/clock.ts';
import type { KernelTime } from '../tensor/webgpu/clock.ts';
import { webgpuBackend } from '../tensor/webgpu/device.ts';
import { clipScale } from './adamw.ts';
import { lossAndGradients } from './gradients.ts';
import { makeOptimizer } from './make-optimizer.ts';

export interface MeasureOptions {
  readonly folder: string;
  readonly sequence: number;
  readonly batch: number;
  readonly r: number;
  readonly steps: number;
  /** Where the adapter is saved in the end; nowhere without it. */
  readonly adapter?: string | undefined;
  /** On webgpu: one step more, by the device's own clock. */
  readonly clocked?: boolean;
}

/** What a phase took, and the most memory that the process has had up to its end, in bytes. */
export interface Phase {
  readonly seconds: number;
  readonly peakResident: number;
}

interface Step {
  readonly seconds: number;
  readonly loss: number;
  /** Alive after it, and what the process holds. */
  readonly tensors: number;
  readonly resident: number;
}

export interface Measured {
  readonly load: Phase;
  readonly adapt: Phase;
  readonly train: Phase;
  readonly save: Phase | null;
  /** Bytes held: the base (and at two bytes a weight), its adapter's parameters and moments, a step's block inputs. */
  readonly base: number;
  readonly base16: number;
  readonly adapter: number;
  readonly moments: number;
  readonly checkpoints: number;
  readonly trainable: number;
  /** One a step, the first of which warms up. */
  readonly steps: readonly Step[];
  /** By the median step after the first. */
  readonly tokensPerSecond: number;
  /** On webgpu. */
  readonly gpu: GpuUse | null;
}

export interface GpuUse {
  /** The most that all buffers held at once, those kept for reuse included. */
  readonly peakBytes: number;
  /** What each kernel took of the clocked step, the longest first; null where it was not clocked. */
  readonly kernels: readonly (KernelTime & { readonly name: string })[] | null;
}

/**
 * Whole training steps on random tokens, every one of them predicted: forward, backward by blocks and AdamW, as `train`
 * does them. The peaks are those of the process, which should do nothing else.
 */
export async function measure(
  { folder, sequence, batch, r, steps, adapter, clocked = false }: MeasureOptions,
): Promise<Measured> {
  const phase = async <T>(action: () => T | Promise<T>): Promise<[T, Phase]> => {
    const began = performance.now();
    const result = await action();
    const seconds = (performance.now() - began) / 1000;
    return [result, { seconds, peakResident: process.resourceUsage().maxRSS * 1024 }];
  };
  const [base, load] = await phase(() => loadModel(folder, { loadIn4bit: true }));
  const [model, adapt] = await phase(() => addLora(base, { r }));
  const optimizer = makeOptimizer(model.parameters);
  const graphs = graphMode();
  const random = new Random(1);
  const taken: Step[] = [];
  let checkpoints = 0;
  const oneStep = async (step: number) => {
    const ids = Int32Array.from({ length: batch * sequence }, () => random.below(base.config.vocabSize));
    const given = {
      tokens: ids, labels: Int32Array.from(ids, (_, i) => ids[(i + 1) % ids.length]!),
      lengths: new Array<number>(batch).fill(sequence), batchSize: batch, seqLength: sequence,
    };
    const began = performance.now();
    const result = await lossAndGradients(model, given, {
      pass: { training: true, seed: step }, scale: 1 / ids.length, checkpointing: true, graphs,
    });
    await optimizer.add(result.gradients);
    optimizer.step(2e-4, clipScale(await optimizer.norm(), 1));
    checkpoints = result.checkpointBytes;
    return { loss: result.loss, seconds: (performance.now() - began) / 1000 };
  };
  const [, train] = await phase(async () => {
    for (let step = 0; step < steps; step++) {
      await new Promise(setImmediate); // as `train` does; what was freed goes back between two turns
      const { loss, seconds } = await oneStep(step);
      if (step % 10 === 0) globalThis.gc?.(); // with --expose-gc: garbage that V8 has not collected yet is no leak
      taken.push({
        seconds, loss, tensors: tf.memory().numTensors, resident: process.memoryUsage.rss(),
      });
    }
  });
  const gpu = tf.getBackend() === 'webgpu' ? await gpuUse(clocked, () => oneStep(steps)) : null;
  await optimizer.close();
  graphs?.dispose();
  const saving = () => saveAdapter(model, adapter!, { baseModel: folder });
  const save = adapter === undefined ? null : (await phase(saving))[1];
  return {
    load, adapt, train, save, gpu, base: base.bytes, base16: baseSize(base).bytes16, checkpoints, steps: taken,
    moments: optimizer.stats.totalBytes,
    adapter: model.parameters.reduce((sum, { bytes }) => sum + bytes, 0),
    trainable: trainableParameters(model).trainable,
    tokensPerSecond: batch * sequence / median(taken.slice(1).map(({ seconds }) => seconds)),
  };
}

async function gpuUse(clocked: boolean, step: () => Promise<unknown>): Promise<GpuUse> {
  const peakBytes = webgpuBackend().bufferManager.peakBytesAllocated;
  if (!clocked || !KernelClock.isOffered) return { peakBytes, kernels: null };
  const clock = new KernelClock();
  await step();
  const kernels = [...await clock.stop()].map(([name, time]) => ({ name, ...time }));
  return { peakBytes, kernels: kernels.sort((a, b) => b.seconds - a.seconds) };
}
