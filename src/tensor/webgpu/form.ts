/**
 * WGSL of a product: what it declares, and what a workgroup does. It has y, `left(m, k) -> vec4f`, a[m][k .. k + 4],
 * and of b either `column4` or `row4`: see `Right`.
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
  readonly units: boolean;
}
