import { beforeAll, describe, expect, it } from 'vitest';
import { useBackend } from '../../../src/tensor/backend.ts';
import { productSpeeds } from '../../../src/tensor/webgpu/bench.ts';
import { tileFor, tiles } from '../../../src/tensor/webgpu/tiles.ts';
import { hasAdapter, why } from './adapter.ts';

describe.runIf(hasAdapter)(`the speeds of a product${why}`, () => {
  beforeAll(() => useBackend('webgpu'));

  it('are told for what the tables choose and all that they choose from, and leave these as they were', async () => {
    const before = tileFor(32, 64);
    const speeds = await productSpeeds({ rows: 32, input: 64, output: 64 });
    const squares = tiles.filter(({ rows, columns }) => rows > 16 && columns > 16);
    expect(speeds.map(({ name }) => name).slice(-squares.length))
      .toEqual(squares.map(({ rows, columns, depth }) => `${rows} × ${columns}, ${depth}`));
    expect(speeds[0]!.name).toBe('elegida');
    for (const { forward, back, error } of speeds) {
      expect(error).toBeLessThan(1e-4);
      expect(Math.min(forward, back)).toBeGreaterThan(0);
      expect(Math.max(forward, back)).toBeLessThan(1e13); // a software adapter is none of the fastest cards
    }
    expect(tileFor(32, 64)).toBe(before);
  });
});
