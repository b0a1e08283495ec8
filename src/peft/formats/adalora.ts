import { z } from 'zod';
import { readJson } from '../../checkpoint/files.ts';
import { positiveInteger } from '../../checkpoint/issue.ts';
import { UserError } from '../../errors.ts';
import { AdaLora, adaLoraDefaults, initialRank } from '../adalora.ts';
import { inFile, loraConfig, loraFields, off, targetsIn, unread } from './format.ts';
import type { PeftFormat } from './format.ts';

const steps = z.int().nonnegative();
const share = z.number().gt(0).lt(1);

const schema = z.object({
  ...loraFields,
  init_r: positiveInteger.default(12),
  target_r: positiveInteger.default(8),
  tinit: steps.default(0),
  tfinal: steps.default(0),
  deltaT: positiveInteger.default(1),
  beta1: share.default(adaLoraDefaults.beta1),
  beta2: share.default(adaLoraDefaults.beta2),
  orth_reg_weight: z.number().nonnegative().default(adaLoraDefaults.orthRegWeight),
  lora_alpha: z.number().positive(),
  total_step: positiveInteger,
  rank_pattern: z.record(z.string(), z.array(z.boolean())).nullish().transform((table) => table ?? {}),
  ...unread('r'), // LoRA's, which AdaLoRA inherits and does not use
}).catchall(off);

/**
 * AdaLoRA's folder holds the triplets that are left, and in `rank_pattern` which of the initial ones those are. Here
 * the others stand beside them, as zeros: a product without them, and the masks are there to be saved again.
 */
export const adaLoraFormat: PeftFormat<AdaLora> = {
  open(base, file, read) {
    const config = readJson(file, schema);
    const { init_r: r, rank_pattern: pattern } = config;
    const used = new Set<string>();
    const maskOf = (path: string): readonly boolean[] | undefined => {
      const key = `${path}.lora_E`;
      used.add(key);
      if (pattern[key] !== undefined && pattern[key].length !== r) {
        throw new UserError(
          `${file}: rank_pattern: «${key}» tiene ${pattern[key].length} valores y se esperaban ${r}, los de init_r; `
          + 'vuelve a guardar el adaptador.',
        );
      }
      return pattern[key];
    };
    const adapter = new AdaLora(base, {
      ...targetsIn(config),
      r: config.target_r, initR: r, alpha: config.lora_alpha, dropout: config.lora_dropout,
      tinit: config.tinit, tfinal: config.tfinal, deltaT: config.deltaT, beta1: config.beta1, beta2: config.beta2,
      orthRegWeight: config.orth_reg_weight, seed: adaLoraDefaults.seed,
    }, (name, shape) => {
      const [path, part] = partOf(name);
      const mask = path === undefined ? undefined : maskOf(path);
      if (!mask) return read(name, shape);
      const left = whatIsLeft(part, shape, mask);
      const whole = new Float32Array(shape[0]! * shape[1]!);
      const values = read(name, left.shape);
      left.places.forEach((place, i) => (whole[place] = values[i]!));
      return whole;
    }, inFile(file));
    const unknown = Object.keys(pattern).find((key) => !used.has(key));
    if (unknown !== undefined) {
      throw new UserError(
        `${file}: rank_pattern: «${unknown}» no es ninguna capa con adaptador en este modelo; usa la base con que se entrenó.`,
      );
    }
    for (const [path, mask] of adapter.masks) maskOf(path)?.forEach((kept, i) => (mask[i] = kept ? 1 : 0));
    adapter.hooks.phases = { totalSteps: config.total_step, tinit: config.tinit, tfinal: config.tfinal };
    return adapter;
  },
  config: ({ options, present, hooks: { phases } }) => ({
    ...loraConfig(options),
    init_r: initialRank(options),
    target_r: options.r,
    tinit: phases.tinit,
    tfinal: phases.tfinal,
    deltaT: options.deltaT,
    beta1: options.beta1,
    beta2: options.beta2,
    orth_reg_weight: options.orthRegWeight,
    total_step: phases.totalSteps,
    rank_pattern: Object.fromEntries([...present].filter(([, triplets]) => triplets.includes(false))
      .map(([path, triplets]) => [`${path}.lora_E`, triplets])),
  }),
  describe: ({ options: { r, alpha } }) => `AdaLoRA adapter, r = ${r} in the mean over the layers, alpha = ${alpha}`,
  tensors: ({ parameters, present }) => parameters.map((parameter) => {
    const { name, shape, values } = parameter;
    const [path, part] = partOf(name);
    if (path === undefined) return parameter;
    const left = whatIsLeft(part, shape, present.get(path)!);
    return { name, shape: left.shape, values: Float32Array.from(left.places, (place) => values[place]!) };
  }),
};

/** `….q_proj.lora_E`: the layer and the letter; nothing for a module that is trained whole. */
function partOf(name: string): [path?: string, part?: string] {
  const [, path, part] = /^(.*)\.lora_([AEB])$/.exec(name) ?? [];
  return [path, part];
}

/** The shape of the kept rows of A or E, or columns of B, and where each of their values stands in the whole. */
function whatIsLeft(
  part: string | undefined, [rows, columns]: readonly number[], mask: readonly boolean[],
): { shape: number[]; places: number[] } {
  const kept = [...mask.keys()].filter((i) => mask[i]);
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const place = (row: number, column: number) => row * columns! + column;
  return part === 'B'
    ? { shape: [rows!, kept.length], places: range(rows!).flatMap((row) => kept.map((column) => place(row, column))) }
    : {
        shape: [kept.length, columns!],
        places: kept.flatMap((row) => range(columns!).map((column) => place(row, column))),
      };
}
