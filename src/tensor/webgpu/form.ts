/**
 * WGSL of a product: what it declares, and what a workgroup does. It has y, `left(m, k) -> vec4f`, a[m][k .. k + 4],
 * zeros past the depth, and of b `fetched` and `numbers`: see `Right`.
 */
export interface Form {
  /** Tells it from others. */
  readonly key: string;
  readonly before: string;
  readonly main: string;
  /** Numbers that a workgroup makes, and its invocations. */
  readonly rows: number;
  readonly columns: number;
  readonly threads: number;
  /** What its code asks of the device: see `Program`. */
  readonly half: boolean;
  readonly lanes: number | undefined;
}

/** Of four numbers that lie in a workgroup's memory. */
export type Vector = 'vec4f' | 'vec4h';

/** Four numbers as they lie there: what float16 cannot hold becomes the most that it can. */
export const narrowed = (type: Vector, v: string): string =>
  (type === 'vec4h' ? `vec4h(clamp(${v}, vec4f(-65504), vec4f(65504)))` : v);
