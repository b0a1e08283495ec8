import type { Config } from '@marp-team/marp-cli';
import type { Marp } from '@marp-team/marp-core';
import { marpOptions, withPlugins } from './src/deck/engine.ts';

const config: Config = {
  lang: 'es',
  options: marpOptions,
  engine: ({ marp }: { marp: Marp }) => withPlugins(marp),
};

export default config;
