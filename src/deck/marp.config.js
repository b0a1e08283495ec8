import { register } from 'tsx/esm/api';

/*
 * What our commands give Marp. From `marp.config.ts` itself it would make a file beside it at every drawing, and a copy
 * of the project that cannot be written to would have no deck.
 */
register(); // Node 20 knows no TypeScript
const { default: config } = await import('../../marp.config.ts');
export default config;
