import { readFileSync, readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './tests/reporter.ts';

const backend = process.env['TEST_BACKEND'];

const files = readdirSync('tests', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts'))
  .map((path) => `tests/${path.replaceAll('\\', '/')}`)
  .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
  // What asks for no other backend, and does not name it, would only do again what it does without TEST_BACKEND.
  .filter(({ text }) => backend === undefined || text.includes('testBackend') || text.includes(backend));

/**
 * Tensor backends, and what is done to Node's own modules, are global: such a file gets a process of its own, and so do
 * those that take long with other processes. The rest share one, for most of what they take is to start it and to
 * import; tests/shared.ts sees to it that none of them has made a backend without saying so.
 */
const alone = /useBackend|testBackend|@tensorflow|vi\.mock|chdir|child_process|command\.ts|chromium|Runner/;
const ofTheirOwn = files.filter(({ text }) => alone.test(text)).map(({ path }) => path);
const shared = files.filter(({ text }) => !alone.test(text)).map(({ path }) => path);

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'own process', include: ofTheirOwn } },
      { extends: true, test: { name: 'shared process', include: shared, isolate: false, setupFiles: 'tests/shared.ts' } },
    ],
    environment: 'node',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: backend === 'webgpu' ? 300_000 : 30_000, // by programs in place of a GPU
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } }, // processes and browsers on a busy machine
    reporters: ['default', new ClosingLineReporter()],
  },
});
