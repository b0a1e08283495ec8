import { vi } from 'vitest';
import { startDawn } from '../../../src/tensor/webgpu/dawn.ts';

vi.setConfig({ testTimeout: 300_000 }); // a program in place of a GPU takes minutes to compile the longest kernels

/** Why no test can compute by WebGPU here: Dawn is not there, or finds no adapter; undefined where it does. */
const missing = await startDawn().then(() => undefined, (error: Error) => error.message);

export const hasAdapter = missing === undefined;

/** What ends the title of tests that need an adapter: the reporter tells it as the reason for skipping. */
export const why = missing === undefined ? '' : ` [${missing.replaceAll(/[[\]]/g, '')}]`;
