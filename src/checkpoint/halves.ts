// Numbers of 16 bits, by their bits, and float32.

/** bfloat16 is the upper half of float32: rounded to the nearest, ties to even; a NaN stays one. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) { // `Uint16Array.from` takes thirty times as long
    const word = bits[i]!;
    const isNotANumber = (word & 0x7fffffff) > 0x7f800000;
    halves[i] = isNotANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

export function fromBfloat16(halves: Uint16Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
}

/** float16 moved into float32's fields is short of 2^112 by the difference of the exponents' biases. */
export function fromFloat16(halves: Uint16Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!;
    const magnitude = (half & 0x7fff) << 13;
    const infiniteOrNan = (half & 0x7c00) === 0x7c00;
    bits[i] = infiniteOrNan ? magnitude | 0x7f800000 : magnitude;
    if (!infiniteOrNan) out[i]! *= 2 ** 112;
    bits[i]! |= (half & 0x8000) << 16;
  }
}
