import { z } from 'zod';
import { readJson } from '../../checkpoint/files.ts';
import { Ia3 } from '../ia3.ts';
import { commonConfig, commonFields, inFile, off, targetsIn } from './format.ts';
import type { PeftFormat } from './format.ts';

const schema = z.object({
  ...commonFields,
  feedforward_modules: z.union([z.string(), z.array(z.string())], { error: 'se esperaba una lista o una expresión regular' })
    .nullish().transform((modules) => modules ?? []),
  init_ia3_weights: z.boolean().nullish(), // what they are at first
}).catchall(off);

export const ia3Format: PeftFormat<Ia3> = {
  open(base, file, read) {
    const config = readJson(file, schema);
    return new Ia3(
      base, { ...targetsIn(config), feedforwardModules: config.feedforward_modules }, read, inFile(file));
  },
  config: ({ options }) => {
    const common = commonConfig(options);
    // PEFT wants the list to be a part of the other, where both are lists.
    const { feedforwardModules: named } = options;
    const adapted = common.target_modules;
    const both = typeof named === 'string' || typeof adapted === 'string';
    return { ...common, feedforward_modules: both ? named : named.filter((name) => adapted.includes(name)) };
  },
  describe: () => 'IA3 adapter',
};
