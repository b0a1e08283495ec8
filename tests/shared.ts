import { afterAll, expect } from 'vitest';

// After each file of those that vitest.config.ts lets share a process: the next one finds it as this one did.
const folder = process.cwd();
afterAll(() => {
  const { _tfengine: engine } = globalThis as { _tfengine?: { registry: object } };
  expect(Object.keys(engine?.registry ?? {}), 'tensor backends made by a file that does not name them').toEqual([]);
  expect(process.cwd()).toBe(folder);
});
