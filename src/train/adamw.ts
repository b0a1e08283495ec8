import type { Parameter } from '../model/weights.ts';
import { Pager } from './pager.ts';
import type { PagerStats } from './pager.ts';

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled from the gradient (Loshchilov and Hutter, 2019). */
  readonly weightDecay: number;
  /** Bytes of a page of states, and of all the pages that may stay in memory. */
  readonly pageBytes: number;
  readonly residentBytes: number;
}

export const adamwDefaults: AdamWOptions = {
  beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, pageBytes: 64 * 1024, residentBytes: 1024 * 1024,
};

/**
 * AdamW on the host. Its two moments live in pages: half a page of m, then half a page of v, for one
 * stretch of parameters.
 */
export class AdamW {
  private readonly pager: Pager;
  private readonly stretch: number;
  steps = 0;

  constructor(
    private readonly parameters: readonly Parameter[],
    private readonly options: AdamWOptions = adamwDefaults,
  ) {
    const pageLength = options.pageBytes / 4;
    this.stretch = pageLength / 2;
    const total = parameters.reduce((sum, { values }) => sum + values.length, 0);
    this.pager = new Pager(Math.ceil(total / this.stretch), {
      pageLength,
      residentPages: Math.max(1, Math.floor(options.residentBytes / options.pageBytes)),
    });
  }

  get stats(): PagerStats {
    return this.pager.stats;
  }

  /** One update of every parameter. gradients: one array a parameter, in the same order; scaled by `scale` first. */
  step(gradients: readonly Float32Array[], learningRate: number, scale = 1): void {
    this.steps++;
    const { beta1, beta2, epsilon, weightDecay } = this.options;
    const stepSize = learningRate / (1 - beta1 ** this.steps);
    const correction2 = Math.sqrt(1 - beta2 ** this.steps);
    const keep = 1 - learningRate * weightDecay;
    this.eachStretch((index, from, to, m, v, at) => {
      const values = this.parameters[index]!.values;
      const gradient = gradients[index]!;
      for (let i = from, j = at; i < to; i++, j++) {
        const g = gradient[i]! * scale;
        const mean = (m[j] = beta1 * m[j]! + (1 - beta1) * g);
        const square = (v[j] = beta2 * v[j]! + (1 - beta2) * g * g);
        values[i] = values[i]! * keep - stepSize * mean / (Math.sqrt(square) / correction2 + epsilon);
      }
    });
    for (const parameter of this.parameters) parameter.upload();
  }

  /** Both moments of every parameter, end to end: what a checkpoint keeps. */
  exportState(): { m: Float32Array; v: Float32Array } {
    const total = this.parameters.reduce((sum, { values }) => sum + values.length, 0);
    const state = { m: new Float32Array(total), v: new Float32Array(total) };
    this.eachStretch((_index, from, to, m, v, at, position) => {
      state.m.set(m.subarray(at, at + to - from), position);
      state.v.set(v.subarray(at, at + to - from), position);
    });
    return state;
  }

  importState(state: { m: Float32Array; v: Float32Array }, steps: number): void {
    this.steps = steps;
    this.eachStretch((_index, from, to, m, v, at, position) => {
      m.set(state.m.subarray(position, position + to - from), at);
      v.set(state.v.subarray(position, position + to - from), at);
    });
  }

  close(): void {
    this.pager.close();
  }

  /**
   * Walks the parameters in stretches that lie within one page. `from` to `to` are within parameter `index`,
   * `at` is where they begin in the page's m and v, `position` where they begin among all parameters.
   */
  private eachStretch(
    visit: (
      index: number, from: number, to: number, m: Float32Array, v: Float32Array, at: number, position: number,
    ) => void,
  ): void {
    let position = 0;
    this.parameters.forEach(({ values }, index) => {
      for (let from = 0; from < values.length;) {
        const at = position % this.stretch;
        const length = Math.min(values.length - from, this.stretch - at);
        const page = this.pager.page(Math.floor(position / this.stretch));
        visit(index, from, from + length, page.subarray(0, this.stretch), page.subarray(this.stretch), at, position);
        from += length;
        position += length;
      }
    });
  }
}
