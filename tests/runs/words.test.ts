import { expect, it } from 'vitest';
import { processorOf } from '../../src/runs/words.ts';

it.each([
  ['Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz', 'Intel Xeon Gold 6148'], ['Intel(R) Xeon(R) Processor', 'Intel Xeon'],
  ['AMD Ryzen 9 7950X 16-Core Processor', 'AMD Ryzen 9 7950X'], ['AMD EPYC', 'AMD EPYC'], ['Apple M2', 'Apple M2'],
])('a processor that calls itself «%s» is told as «%s»', (cpu, name) => {
  const machine = { cpu, cores: 2, memoryBytes: 1, platform: 'linux x64', node: 'v20' };
  expect(processorOf({ provenance: { commit: null, dirty: false, backend: 'wasm', machine, inputs: [], code: null } } as never)).toBe(name);
});
