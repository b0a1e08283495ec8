/**
 * WGSL of a product: what it declares, and what a workgroup does. It has y; `leftRow(m) -> u32`, where a row of a
 * begins, and `left(row, k) -> vec4f`, its numbers k .. k + 4, zeros past the depth; and of b `fetched` and `numbers`:
 * see `Right`.
 */
export interface Form {
  /** Tells it from others. */
  readonly key: string;
  readonly before: string;
  readonly main: string;
  /** Numbers that a workgroup makes, how much of the depth it has at a time, and its invocations. */
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly threads: number;
  /** Of four numbers, that `fetched` gets at once. */
  readonly vectors: 1 | 2;
  /** What its code asks of the device: see `Program`. */
  readonly half: boolean;
  readonly lanes: number | undefined;
}

/** Of four numbers that lie in a workgroup's memory. */
export type Vector = 'vec4f' | 'vec4h';

/** What float16 cannot hold becomes the most that it can. */
export const inHalf = (v: string): string => `clamp(${v}, vec4f(-65504), vec4f(65504))`;

/** Four numbers as they lie there. */
export const narrowed = (type: Vector, v: string): string => (type === 'vec4h' ? `vec4h(${inHalf(v)})` : v);
