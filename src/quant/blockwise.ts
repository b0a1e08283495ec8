import { CODEBOOKS, type QuantType } from './codebooks.ts';

/** An all-zero block would otherwise divide by zero (bitsandbytes clamps at the same value). */
const SMALLEST_ABSMAX = Math.fround(1e-38);

/**
 * Block-wise 4-bit quantisation, bit for bit as bitsandbytes does it: every block of `blockSize`
 * values is scaled by the reciprocal of its largest magnitude, then each value takes the nearest
 * code; a tie goes to the lower one. All arithmetic is float32.
 *
 * @param values `[n]`, finite
 * @returns `packed` `[ceil(n / 2)]`, the first value of each pair in the high nibble, and `absmax`
 *   `[ceil(n / blockSize)]`
 * @throws RangeError if a value is not finite
 */
export function quantizeBlocks(
  values: Float32Array,
  blockSize: number,
  quantType: QuantType,
): { packed: Uint8Array; absmax: Float32Array } {
  const { midpoints, nibbles } = DECISIONS[quantType];
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  for (let block = 0; block < absmax.length; block++) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    const largest = Math.max(largestMagnitude(values, start, end), SMALLEST_ABSMAX);
    const reciprocal = Math.fround(1 / largest);
    absmax[block] = largest;
    for (let i = start; i < end; i++) {
      const x = Math.fround(values[i]! * reciprocal);
      // Four halvings of the sixteen codes; midpoints[k] lies between the codes of rank k and k + 1.
      let rank = x > midpoints[7]! ? 8 : 0;
      if (x > midpoints[rank + 3]!) rank += 4;
      if (x > midpoints[rank + 1]!) rank += 2;
      if (x > midpoints[rank]!) rank += 1;
      packed[i >> 1]! |= i & 1 ? nibbles[rank]! : nibbles[rank]! << 4;
    }
  }
  return { packed, absmax };
}

/**
 * The way back: `code[nibble] * absmax` in float32. This runs in the hot loop of training, so a
 * byte is turned into its two codes by one table.
 *
 * @param packed `[ceil(n / 2)]`
 * @param absmax `[ceil(n / blockSize)]`
 * @param out `[n]`, written whole
 */
export function dequantizeBlocks(
  packed: Uint8Array,
  absmax: Float32Array,
  blockSize: number,
  quantType: QuantType,
  out: Float32Array,
): void {
  const pairs = PAIRS[quantType];
  const evenLength = out.length & ~1;
  for (let block = 0; block < absmax.length; block++) {
    const scale = absmax[block]!;
    const end = Math.min((block + 1) * blockSize, evenLength);
    for (let i = block * blockSize; i < end; i += 2) {
      const pair = packed[i >> 1]! << 1;
      out[i] = Math.fround(pairs[pair]! * scale);
      out[i + 1] = Math.fround(pairs[pair + 1]! * scale);
    }
  }
  if (evenLength < out.length) {
    out[evenLength] = pairs[packed[evenLength >> 1]! << 1]! * absmax[absmax.length - 1]!;
  }
}

/** In float64 the sum of magnitudes cannot overflow, so it is finite exactly if every value is. */
function largestMagnitude(values: Float32Array, start: number, end: number): number {
  let largest = 0;
  let sum = 0;
  for (let i = start; i < end; i++) {
    const magnitude = Math.abs(values[i]!);
    sum += magnitude;
    if (magnitude > largest) largest = magnitude;
  }
  if (!Number.isFinite(sum)) throw new RangeError(`quantize: a value between ${start} and ${end - 1} is not finite`);
  return largest;
}

/** The codes in ascending order: their nibbles, and the float32 midpoints that part them. */
const DECISIONS = forEachType((codebook) => {
  // FP4 has two zeros; the second, negative one (nibble 8) is never written.
  const nibbles = [...codebook.keys()].filter((nibble) => codebook.indexOf(codebook[nibble]!) === nibble);
  nibbles.sort((a, b) => codebook[a]! - codebook[b]!);
  const midpoints = new Float32Array(15).fill(Infinity);
  for (let rank = 0; rank + 1 < nibbles.length; rank++) {
    midpoints[rank] = Math.fround(codebook[nibbles[rank]!]! + codebook[nibbles[rank + 1]!]!) / 2;
  }
  return { midpoints, nibbles: Uint8Array.from(nibbles) };
});

/** Byte -> its two values, `[256 * 2]`. */
const PAIRS = forEachType((codebook) => Float32Array.from({ length: 512 }, (_, i) => {
  const byte = i >> 1;
  return codebook[i & 1 ? byte & 15 : byte >> 4] ?? NaN;
}));

function forEachType<T>(make: (codebook: Float32Array) => T): Record<QuantType, T> {
  return { nf4: make(CODEBOOKS.nf4), fp4: make(CODEBOOKS.fp4), int4: make(CODEBOOKS.int4) };
}
