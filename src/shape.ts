/** How many values a tensor of this shape holds: 1 for a scalar, whose shape is `[]`. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}
