import { z } from 'zod';
import { readJson } from '../../checkpoint/files.ts';
import { positiveInteger } from '../../checkpoint/issue.ts';
import { Lora, loraDefaults } from '../lora.ts';
import { inFile, loraConfig, loraFields, off, targetsIn } from './format.ts';
import type { PeftFormat } from './format.ts';

const schema = z.object({
  ...loraFields,
  r: positiveInteger,
  use_rslora: z.boolean().nullish().transform(Boolean),
  use_dora: z.boolean().nullish().transform(Boolean),
  rank_pattern: z.record(z.string(), positiveInteger).nullish().transform((table) => table ?? {}),
  alpha_pattern: z.record(z.string(), z.number()).nullish().transform((table) => table ?? {}),
}).catchall(off);

/** LoRA, rsLoRA and DoRA. */
export const loraFormat: PeftFormat<Lora> = {
  open(base, file, read) {
    const config = readJson(file, schema);
    return new Lora(base, {
      ...loraDefaults, ...targetsIn(config),
      r: config.r, alpha: config.lora_alpha, dropout: config.lora_dropout,
      useRslora: config.use_rslora, useDora: config.use_dora,
      rankPattern: config.rank_pattern, alphaPattern: config.alpha_pattern,
    }, read, inFile(file));
  },
  config: ({ options }) => ({
    ...loraConfig(options),
    r: options.r,
    use_rslora: options.useRslora,
    use_dora: options.useDora,
    rank_pattern: options.rankPattern,
    alpha_pattern: options.alphaPattern,
  }),
  describe: ({ options: { r, alpha, useDora, useRslora } }) =>
    `${useDora ? 'DoRA' : useRslora ? 'rsLoRA' : 'LoRA'} adapter, r = ${r}, alpha = ${alpha}`,
};
