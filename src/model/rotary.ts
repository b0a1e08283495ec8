import * as tf from '@tensorflow/tfjs';
import type { RotaryTables } from '../tensor/ops.ts';
import type { LlamaConfig, RopeScaling } from './config.ts';

/**
 * RoPE (Su et al., 2021): the angle by which each pair of a head's elements turns from one position to the next,
 * stretched for longer texts as the model says: (headDim / 2).
 *
 * @param length that of the longest text of the pass, which matters to `dynamic` alone: once past what the model was
 *   trained on, all frequencies fall as the text grows
 */
export function rotaryFrequencies(config: LlamaConfig, length: number): number[] {
  const { headDim, ropeTheta, maxPositions, ropeScaling: scaling } = config;
  let theta = ropeTheta;
  if (scaling?.type === 'dynamic') { // NTK-aware, by Reddit's /u/bloc97 and /u/emozilla
    const stretch = scaling.factor * Math.max(length, maxPositions) / maxPositions - (scaling.factor - 1);
    theta *= stretch ** (headDim / (headDim - 2));
  }
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = theta ** (-2 * i / headDim);
    switch (scaling?.type) {
      case 'linear': // Chen et al., 2023
        return frequency / scaling.factor;
      case 'llama3':
        return stretched(frequency, scaling.factor, keptOfLlama3(frequency, scaling));
      case 'yarn':
        return stretched(frequency, scaling.factor, keptOfYarn(i, config, scaling));
      default:
        return frequency;
    }
  });
}

/** Slow turns are stretched, fast ones kept, those between go from one to the other. `kept`: from 0 to 1. */
function stretched(frequency: number, factor: number, kept: number): number {
  return (1 - kept) * frequency / factor + kept * frequency;
}

/** Llama 3.1: between two numbers of turns in a text as long as those it was trained on. */
function keptOfLlama3(
  frequency: number, { lowFreqFactor, highFreqFactor, originalMaxPositions }: RopeScaling & { type: 'llama3' },
): number {
  const turns = originalMaxPositions * frequency / (2 * Math.PI);
  return clamp((turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor));
}

/** YaRN (Peng et al., 2023): between the pairs that turn so many times in such a text, evenly from pair to pair. */
function keptOfYarn(
  pair: number, { headDim, ropeTheta }: LlamaConfig,
  { originalMaxPositions, betaFast, betaSlow, truncate }: RopeScaling & { type: 'yarn' },
): number {
  const pairThatTurns = (times: number) =>
    headDim * Math.log(originalMaxPositions / (times * 2 * Math.PI)) / (2 * Math.log(ropeTheta));
  const whole = (round: (x: number) => number, x: number) => (truncate ? round(x) : x);
  const first = Math.max(0, whole(Math.floor, pairThatTurns(betaFast)));
  const last = Math.min(headDim - 1, whole(Math.ceil, pairThatTurns(betaSlow)));
  return 1 - clamp((pair - first) / (last === first ? 0.001 : last - first));
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}

/** Rotary tables for rows at the given positions: cos and sin (rows, 1, headDim), turn (headDim, headDim). */
export function rotaryTables(config: LlamaConfig, positions: readonly number[]): RotaryTables {
  const { headDim, ropeScaling: scaling } = config;
  const half = headDim / 2;
  const frequencies = rotaryFrequencies(config, positions.reduce((most, position) => Math.max(most, position), 0) + 1);
  // YaRN makes queries and keys longer, which sharpens the attention.
  const size = scaling?.type === 'yarn' ? scaling.attentionFactor : 1;
  const cos = new Float32Array(positions.length * headDim);
  const sin = new Float32Array(positions.length * headDim);
  positions.forEach((position, row) => {
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      for (const at of [row * headDim + i, row * headDim + half + i]) {
        cos[at] = size * Math.cos(angle);
        sin[at] = size * Math.sin(angle);
      }
    }
  });
  const turn = new Float32Array(headDim * headDim);
  for (let i = 0; i < half; i++) {
    turn[(half + i) * headDim + i] = -1; // output i takes −x[half + i]
    turn[i * headDim + half + i] = 1; // output half + i takes x[i]
  }
  return {
    cos: tf.tensor(cos, [positions.length, 1, headDim]),
    sin: tf.tensor(sin, [positions.length, 1, headDim]),
    turn: tf.tensor2d(turn, [headDim, headDim]),
  };
}
