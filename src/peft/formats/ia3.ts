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
  config: (adapter) => {
    const { options, targets, feedforward } = adapter;
    const common = commonConfig(options);
    const adapted = common.target_modules;
    const { feedforwardModules: named } = options;
    if (typeof named === 'string' || typeof adapted === 'string') return { ...common, feedforward_modules: named };
    // PEFT wants one list to be a part of the other. A name will not do where some of its modules are none of them.
    const modulesOf = (name: string) => [...targets].filter((path) => path === name || path.endsWith(`.${name}`));
    const whole = adapted.filter((name) => modulesOf(name).every((path) => feedforward.has(path)));
    if (new Set(whole.flatMap(modulesOf)).size === feedforward.size) return { ...common, feedforward_modules: whole };
    return { ...common, target_modules: [...targets], feedforward_modules: [...feedforward] };
  },
  describe: () => 'IA3 adapter',
};
