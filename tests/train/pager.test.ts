import * as fs from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Parameter } from '../../src/model/weights.ts';
import { useBackend } from '../../src/tensor/backend.ts';
import { makeOptimizer } from '../../src/train/make-optimizer.ts';
import { hostMemory, Pager } from '../../src/train/pager.ts';
import { temporaryFolder } from '../temporary.ts';

// Every call goes to the real disk, but for those that a test breaks.
vi.mock('node:fs', { spy: true });
afterEach(() => vi.resetAllMocks());

// Other tests page at the same time: these do it in a folder of their own.
const at = temporaryFolder();
beforeEach(() => vi.stubEnv('TMPDIR', at('.')));
afterEach(() => vi.unstubAllEnvs());

const disk = await vi.importActual<typeof fs>('node:fs');
const pageBytes = 32;

/** A pager that is closed whatever the test finds. */
function withPager(pages: number, residentPages: number, use: (pager: Pager) => void): void {
  const pager = new Pager(pages, { pageBytes, residentPages });
  try {
    use(pager);
  } finally {
    pager.close();
  }
}

/** What a pager has open to send its pages to. */
const opened = (): number => vi.mocked(fs.openSync).mock.calls.length - vi.mocked(fs.closeSync).mock.calls.length;

describe('a pager', () => {
  it('gives a page of zeros when it is first touched, be its memory new or another page\'s', () => {
    withPager(3, 1, (pager) => {
      expect([...pager.page(0)]).toEqual(Array(pageBytes).fill(0));
      pager.page(0).fill(5);
      expect([...pager.page(2)]).toEqual(Array(pageBytes).fill(0));
    });
  });

  it('gives back every page as it was left, from memory or from disk', () => {
    withPager(5, 2, (pager) => {
      for (let page = 0; page < 5; page++) pager.page(page).fill(page + 1);
      for (const page of [3, 0, 4, 1, 2, 0]) expect([...pager.page(page)]).toEqual(Array(pageBytes).fill(page + 1));
      pager.page(0).fill(255);
      for (const page of [1, 2, 3]) pager.page(page);
      expect([...pager.page(0)]).toEqual(Array(pageBytes).fill(255));
    });
  });

  it('sends out the page unused for longest, and counts what comes and goes', () => {
    withPager(4, 2, (pager) => {
      const counts = (page: number) => {
        pager.page(page);
        return [pager.stats.pageIns, pager.stats.pageOuts];
      };
      expect(counts(0)).toEqual([0, 0]);
      expect(counts(1)).toEqual([0, 0]);
      expect(counts(0)).toEqual([0, 0]); // now 1 is the oldest
      expect(counts(2)).toEqual([0, 1]); // 1 goes; 2 is new, nothing is read
      expect(counts(0)).toEqual([0, 1]); // 0 has stayed
      expect(counts(1)).toEqual([1, 2]); // 2 goes; 1 comes back
      expect(counts(2)).toEqual([2, 3]);
    });
  });

  it('never holds more than its budget, and says how much of how much', () => {
    withPager(6, 2, (pager) => {
      expect(pager.stats).toEqual({
        pages: 6, residentBytes: 0, totalBytes: 6 * pageBytes, pageIns: 0, pageOuts: 0,
      });
      for (const page of [0, 3, 5, 1, 0, 4]) {
        pager.page(page);
        expect(pager.stats.residentBytes).toBeLessThanOrEqual(2 * pageBytes);
      }
      expect(pager.stats.residentBytes).toBe(2 * pageBytes);
    });
  });

  it('touches no disk while all fits, and leaves nothing there when it closes', () => {
    withPager(2, 2, (pager) => {
      for (const page of [0, 1, 0, 1]) pager.page(page);
      expect(opened()).toBe(0);
    });
    withPager(2, 1, (pager) => {
      for (const page of [0, 1]) pager.page(page);
      expect(opened()).toBe(1);
    });
    expect(opened()).toBe(0);
  });

  it('has no file that a process that is killed would leave: its own has no name', () => {
    withPager(2, 1, (pager) => {
      for (const page of [0, 1]) pager.page(page).fill(page + 1);
      expect(fs.readdirSync(at('.'))).toEqual([]);
      expect([...pager.page(0)]).toEqual(Array(pageBytes).fill(1));
    });
  });

  it('sends pages to the host’s memory where it is told to, and else to a file', () => {
    const inFile = new Pager(2, { pageBytes, residentPages: 1 });
    const inMemory = new Pager(2, { pageBytes, residentPages: 1, spillTo: hostMemory });
    for (const [pager, files] of [[inMemory, 0], [inFile, 1]] as const) {
      for (let page = 0; page < 2; page++) pager.page(page).fill(page + 1);
      for (let page = 0; page < 2; page++) expect([...pager.page(page)]).toEqual(Array(pageBytes).fill(page + 1));
      expect(pager.stats).toMatchObject({ residentBytes: pageBytes, pageIns: 2, pageOuts: 3 });
      expect(opened()).toBe(files);
      pager.close();
    }
    expect(opened()).toBe(0);
  });

  it('goes on when the system moves less than asked', () => {
    vi.mocked(fs.writeSync).mockImplementation(((file: number, bytes: Uint8Array, at: number, n: number, to: number) =>
      disk.writeSync(file, bytes, at, Math.min(n, 5), to)) as typeof fs.writeSync);
    vi.mocked(fs.readSync).mockImplementation(((file: number, bytes: Uint8Array, at: number, n: number, from: number) =>
      disk.readSync(file, bytes, at, Math.min(n, 7), from)) as typeof fs.readSync);
    withPager(3, 1, (pager) => {
      for (let page = 0; page < 3; page++) pager.page(page).set([page, 1, 2, 3], 28);
      for (let page = 0; page < 3; page++) expect([...pager.page(page).subarray(28)]).toEqual([page, 1, 2, 3]);
    });
  });

  it('refuses a page that is not, and a budget of no page', () => {
    withPager(2, 1, (pager) => {
      expect(() => pager.page(2)).toThrow(RangeError);
      expect(() => pager.page(-1)).toThrow(RangeError);
    });
    expect(() => new Pager(2, { pageBytes, residentPages: 0 })).toThrow(RangeError);
  });
});

describe('a step whose pages find no room on the disk', () => {
  it('is none: the parameters stay those of the step before', async () => {
    await useBackend('cpu');
    const parameter = new Parameter('w', new Float32Array(1000).fill(1), [1000]);
    const optimizer = makeOptimizer([parameter], { pageBytes: 1024, residentBytes: 2048 });
    const step = async () => {
      await optimizer.add([tf.ones([1000])]);
      optimizer.step(0.1);
    };
    await step();
    const before = parameter.values.slice();
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    let room = 3; // pages
    vi.mocked(fs.writeSync).mockImplementation(((...page: Parameters<typeof disk.writeSync>) => {
      if (room-- > 0) return disk.writeSync(...page);
      throw full;
    }) as typeof fs.writeSync);
    await expect(step()).rejects.toBe(full);
    expect(parameter.values).toEqual(before);
    expect(parameter.tensor().dataSync()).toEqual(before);
    await optimizer.close();
  });
});
