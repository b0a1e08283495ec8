import type { Config } from '@marp-team/marp-cli';
import type { Marp } from '@marp-team/marp-core';
import { register } from 'tsx/esm/api';

register(); // Marp compiles this file alone, and Node 20 knows no TypeScript
const { editionOf, marpOptions, withPlugins } = await import('./src/deck/engine.ts');

const config: Config = {
  lang: 'es',
  options: marpOptions,
  engine: ({ marp }: { marp: Marp }) => withPlugins(marp, editionOf(process.env)),
};

export default config;
