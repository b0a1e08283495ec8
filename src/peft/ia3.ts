import { weightShapes } from '../model/config.ts';
import type { LlamaConfig } from '../model/config.ts';
import { targetPaths } from './targets.ts';

/** PEFT's choice for a Llama. */
export const ia3Defaults = { targetModules: ['k_proj', 'v_proj', 'down_proj'], feedforwardModules: ['down_proj'] };

/**
 * The vectors of IA³ (Liu et al., 2022), by their names in a PEFT file, with their shapes: a feed-forward module's
 * multiplies its input, [1, in]; the others' their output, [out, 1].
 */
export function ia3Shapes(config: LlamaConfig, options = ia3Defaults): Map<string, number[]> {
  const weights = weightShapes(config);
  const feedforward = new Set(targetPaths(config, { targetModules: options.feedforwardModules }));
  return new Map(targetPaths(config, options).map((path) => {
    const [out, input] = weights.get(`${path}.weight`) as [number, number];
    return [`${path}.ia3_l`, feedforward.has(path) ? [1, input] : [out, 1]];
  }));
}
