import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './tests/reporter.ts';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    environment: 'node',
    // Tensor backends keep global state: every file gets a process of its own.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: process.env['TEST_BACKEND'] === 'webgpu' ? 300_000 : 30_000, // by programs in place of a GPU
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } }, // processes and browsers on a busy machine
    reporters: ['default', new ClosingLineReporter()],
  },
});
