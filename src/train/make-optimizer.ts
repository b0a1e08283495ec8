import * as tf from '@tensorflow/tfjs';
import type { Parameter } from '../model/weights.ts';
import type { TrainingHooks } from '../peft/trainable.ts';
import { adamwDefaults } from './adamw.ts';
import type { AdamWOptions } from './adamw.ts';
import { DeviceAdamW } from './device-adamw.ts';
import { HostAdamW } from './host-adamw.ts';
import type { Optimizer } from './optimizer.ts';

export type OptimizerOptions = Partial<Omit<AdamWOptions, 'residentBytes'>> & {
  /**
   * Most bytes of states in memory. If not said, 1 MiB on the host, and on WebGPU no end: there the states stay on the
   * device, as a paged optimizer's do while it has room.
   */
  readonly residentBytes?: number | undefined;
};

/**
 * AdamW where the gradients are, if it can be there: on WebGPU, in 32 bits, with all its states in memory, and for a
 * method that does not look at gradients itself. Otherwise on the host, where states can be paged and be of 8 bits.
 */
export function makeOptimizer(
  parameters: readonly Parameter[], { residentBytes, ...options }: OptimizerOptions = {}, hooks: TrainingHooks = {},
): Optimizer {
  const given = { ...adamwDefaults, ...options };
  const stateBytes = parameters.reduce((sum, { values }) => sum + 8 * values.length, 0);
  const staysOnDevice = tf.getBackend() === 'webgpu' && given.optimizer === 'paged_adamw_32bit'
    && stateBytes <= (residentBytes ?? Infinity) && !hooks.penalty && !hooks.afterStep;
  return staysOnDevice
    ? new DeviceAdamW(parameters, given)
    : new HostAdamW(parameters, { ...given, residentBytes: residentBytes ?? given.residentBytes }, hooks);
}
