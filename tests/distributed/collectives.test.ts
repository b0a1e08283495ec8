import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { Group, sharedMemory } from '../../src/distributed/collectives.ts';

const url = new URL('../../src/distributed/collectives.ts', import.meta.url).href;

/**
 * Runs a function's text on so many threads, each with a group of all.
 * @returns what it returned on each, and how many bytes each sent
 */
async function onRanks<T>(
  count: number, body: (group: Group) => T, memory = sharedMemory(count),
): Promise<{ result: T; sent: number }[]> {
  const program = `import('tsx/esm/api').then(async ({ register }) => {
    register();
    const { parentPort, workerData: { memory, count, rank } } = require('node:worker_threads');
    const { Group } = await import(${JSON.stringify(url)});
    const group = new Group(memory, count, rank, Array.from({ length: count }, (_, other) => other));
    const result = (${body.toString()})(group);
    parentPort.postMessage({ result, sent: group.sent });
  })`;
  const all = Array.from({ length: count }, (_, rank) => rank);
  return Promise.all(all.map((rank) => new Promise<{ result: T; sent: number }>((resolve, reject) => {
    new Worker(program, { eval: true, execArgv: [], workerData: { memory, count, rank } })
      .once('message', resolve).once('error', reject);
  })));
}

/** Longer than what is on its way at once, and not a multiple of the ranks. */
const length = 1_000_001;
const ring = (ranks: number) => (ranks - 1) / ranks;

describe.each([2, 3])('%i ranks', (count) => {
  it('sum their values for all, and each sends 2(N − 1)/N of them', async () => {
    const all = await onRanks(count, (group) => {
      const values = Float32Array.from({ length: 1_000_001 }, (_, i) => (group.index + 1) * (i % 7));
      group.allReduce(values);
      return values;
    });
    const factor = count * (count + 1) / 2;
    for (const { result, sent } of all) {
      expect(result.every((value, i) => value === factor * (i % 7))).toBe(true);
      expect(sent / (4 * length)).toBeCloseTo(2 * ring(count), 5);
    }
  });

  it('go on past 2 GiB from one to another, which their counters do not hold', async () => {
    const memory = sharedMemory(count);
    const bells = 8 * count;
    const pipe = (memory.byteLength - bells) / count ** 2;
    for (let at = 0; at < count ** 2; at++) new Int32Array(memory, bells + at * pipe, 2).fill(2 ** 31 - 1000);
    const all = await onRanks(count, (group) => {
      const values = Float32Array.from({ length: 1_000_001 }, (_, i) => (group.index + 1) * (i % 7));
      group.allReduce(values);
      return values;
    }, memory);
    for (const { result } of all) {
      expect(result.every((value, i) => value === count * (count + 1) / 2 * (i % 7))).toBe(true);
    }
  });

  it('scatter the sums and gather the parts again, each for (N − 1)/N', async () => {
    const all = await onRanks(count, (group) => {
      const values = Float32Array.from({ length: 1_000_001 }, (_, i) => i % 5 + group.index);
      const part = group.reduceScatter(values).slice();
      const scattered = group.sent;
      const whole = new Float32Array(values.length);
      whole.set(part, group.part(values.length, group.index)[0]);
      group.allGather(whole);
      return { part: part.length, whole, scattered };
    });
    expect(all.reduce((sum, { result }) => sum + result.part, 0)).toBe(length);
    for (const { result, sent } of all) {
      expect(result.whole.every((value, i) => value === count * (i % 5) + count * (count - 1) / 2)).toBe(true);
      expect(result.scattered / (4 * length)).toBeCloseTo(ring(count), 5);
      expect(sent / (4 * length)).toBeCloseTo(2 * ring(count), 5);
    }
  });

  it('hear what one broadcasts, and what one sends another', async () => {
    const all = await onRanks(count, (group) => {
      const values = new Float32Array(400_000).fill(group.index === 1 ? 5 : 0);
      group.broadcast(values, 1);
      const letter = new Float32Array(3);
      if (group.index === 0) group.send(Float32Array.of(1, 2, 3), group.size - 1);
      if (group.index === group.size - 1) group.receive(letter, 0);
      return { heard: values.every((value) => value === 5), letter: [...letter] };
    });
    for (const { result } of all) expect(result.heard).toBe(true);
    expect(all.at(-1)!.result.letter).toEqual([1, 2, 3]);
  });
});

describe('two ranks', () => {
  it('send each other at once more than fits on the way', async () => {
    const all = await onRanks(2, (group) => {
      const other = 1 - group.index;
      const heard = new Float32Array(1_000_001);
      const own = new Float32Array(1_000_001).fill(group.index + 1);
      group.exchange({ values: own, other }, { values: heard, other });
      return heard.every((value) => value === other + 1);
    });
    expect(all.map(({ result, sent }) => [result, sent])).toEqual([[true, 4 * length], [true, 4 * length]]);
  });
});

describe('one rank', () => {
  it('is its own sum, and sends nothing', () => {
    const group = new Group(sharedMemory(1), 1, 0, [0]);
    const values = Float32Array.of(1, 2);
    group.allReduce(values);
    group.broadcast(values, 0);
    expect([...group.reduceScatter(values)]).toEqual([1, 2]);
    expect(group.sent).toBe(0);
  });
});
