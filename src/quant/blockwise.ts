import { CODEBOOKS, type QuantType } from './codebooks.ts';

/** A weight that cannot be quantised. */
export class NotFiniteError extends RangeError {
  constructor(first: number, last: number) {
    super(`quantize: a value between ${first} and ${last} is not finite`);
  }
}

/** An all-zero block would otherwise divide by zero (bitsandbytes clamps at the same value). */
const SMALLEST_ABSMAX = Math.fround(1e-38);

/**
 * Block-wise 4-bit quantisation, bit for bit as bitsandbytes does it: every block of `blockSize`
 * values is scaled by the reciprocal of its largest magnitude, then each value takes the nearest
 * code; a tie goes to the lower one. All arithmetic is float32.
 *
 * @param values `[n]`
 * @param packed `[ceil(n / 2)]`, written whole: the first value of each pair in the high nibble
 * @param absmax `[ceil(n / blockSize)]`, written whole
 * @throws NotFiniteError if a value is not finite
 */
export function quantizeBlocks(
  values: Float32Array,
  blockSize: number,
  quantType: QuantType,
  packed: Uint8Array,
  absmax: Float32Array,
): void {
  const decision = DECISIONS[quantType];
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  for (let block = 0; block < absmax.length; block++) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    const largest = Math.max(largestMagnitude(bits, start, end), SMALLEST_ABSMAX);
    const reciprocal = Math.fround(1 / largest);
    absmax[block] = largest;
    const evenEnd = end & ~1;
    for (let i = start; i < evenEnd; i += 2) {
      const high = nearestNibble(decision, Math.fround(values[i]! * reciprocal));
      const low = nearestNibble(decision, Math.fround(values[i + 1]! * reciprocal));
      packed[i >> 1] = high << 4 | low;
    }
    if (evenEnd < end) packed[evenEnd >> 1] = nearestNibble(decision, Math.fround(values[evenEnd]! * reciprocal)) << 4;
  }
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

/**
 * The same in bfloat16, the nearest to what float32 gives: two values in a word, the first in its low half. A block has
 * no more than sixteen different values, so each is scaled and rounded once.
 *
 * @param out `[n / 2]`, written whole; n is even
 */
export function dequantizeBlocksToBfloat16(
  packed: Uint8Array, absmax: Float32Array, blockSize: number, quantType: QuantType, out: Int32Array,
): void {
  const codebook = CODEBOOKS[quantType];
  const scaled = new Float32Array(16);
  const bits = new Int32Array(scaled.buffer);
  const low = new Int32Array(16);
  const high = new Int32Array(16);
  const bytesPerBlock = blockSize / 2;
  for (let block = 0; block < absmax.length; block++) {
    const scale = absmax[block]!;
    for (let code = 0; code < codebook.length; code++) scaled[code] = codebook[code]! * scale;
    for (let code = 0; code < 16; code++) {
      const word = bits[code]!;
      const rounded = word + 0x7fff + (word >>> 16 & 1); // a tie goes to the even one
      low[code] = rounded >>> 16;
      high[code] = rounded & 0xffff0000;
    }
    const end = Math.min((block + 1) * bytesPerBlock, out.length);
    for (let i = block * bytesPerBlock; i < end; i++) {
      const byte = packed[i]!;
      out[i] = low[byte >> 4]! | high[byte & 15]!;
    }
  }
}

/**
 * As integers the bits of magnitudes are in the order of the magnitudes, and those that are not finite
 * come last. Four maxima at a time do not wait for one another.
 */
function largestMagnitude(bits: Int32Array, start: number, end: number): number {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  let i = start;
  for (; i < end - 3; i += 4) {
    first = Math.max(first, bits[i]! & 0x7fffffff);
    second = Math.max(second, bits[i + 1]! & 0x7fffffff);
    third = Math.max(third, bits[i + 2]! & 0x7fffffff);
    fourth = Math.max(fourth, bits[i + 3]! & 0x7fffffff);
  }
  for (; i < end; i++) first = Math.max(first, bits[i]! & 0x7fffffff);
  const largest = Math.max(first, second, third, fourth);
  if (largest >= INFINITE) throw new NotFiniteError(start, end - 1);
  word[0] = largest;
  return wordAsFloat[0]!;
}

const INFINITE = 0x7f800000;
const word = new Int32Array(1);
const wordAsFloat = new Float32Array(word.buffer);

/**
 * The code nearest to `x` in [-1, 1] without a search: the interval is cut into bins so narrow that
 * none holds two of the midpoints that part the codes, so a bin leaves two codes and one comparison.
 * `x` may be past the ends by a rounding; truncation keeps it in the last bins.
 */
function nearestNibble({ midpoint, below, above }: Decision, x: number): number {
  const bin = binOf(x);
  return x > midpoint[bin]! ? above[bin]! : below[bin]!;
}

/** Never descends as x grows, which is all that the tables need. */
function binOf(x: number): number {
  return (x + 1) * BINS_PER_UNIT | 0;
}

/** FP4's codes are the closest together: its midpoints lie 1/192 apart around zero. */
const BINS_PER_UNIT = 256;

/** By bin: the midpoint in it, or infinity; the nibbles for values up to the midpoint, and above it. */
interface Decision {
  readonly midpoint: Float32Array;
  readonly below: Uint8Array;
  readonly above: Uint8Array;
}

const DECISIONS = forEachType((_, quantType): Decision => {
  const { midpoints, nibbles } = ranksOf(quantType);
  const bins = binOf(1) + 1;
  const midpoint = new Float32Array(bins).fill(Infinity);
  const rank = (bin: number) => midpoints.filter((other) => binOf(other) < bin).length;
  for (const between of midpoints) midpoint[binOf(between)] = between;
  return {
    midpoint,
    below: Uint8Array.from({ length: bins }, (_, bin) => nibbles[rank(bin)]!),
    above: Uint8Array.from({ length: bins }, (_, bin) => nibbles[rank(bin + 1)]!),
  };
});

/** The nibbles in the order of their values, and the midpoints that part them: one fewer. */
export function ranksOf(quantType: QuantType): { midpoints: readonly number[]; nibbles: readonly number[] } {
  const codebook = CODEBOOKS[quantType];
  // FP4 has two zeros; the second, negative one (nibble 8) is never written.
  const nibbles = [...codebook.keys()].filter((nibble) => codebook.indexOf(codebook[nibble]!) === nibble);
  nibbles.sort((a, b) => codebook[a]! - codebook[b]!);
  const midpoints = nibbles.slice(1).map((nibble, rank) =>
    Math.fround(codebook[nibbles[rank]!]! + codebook[nibble]!) / 2);
  return { midpoints, nibbles };
}

/** Byte -> its two values, `[256 * 2]`. */
const PAIRS = forEachType((codebook) => Float32Array.from({ length: 512 }, (_, i) => {
  const byte = i >> 1;
  return codebook[i & 1 ? byte & 15 : byte >> 4] ?? NaN;
}));

function forEachType<T>(make: (codebook: Float32Array, quantType: QuantType) => T): Record<QuantType, T> {
  return { nf4: make(CODEBOOKS.nf4, 'nf4'), fp4: make(CODEBOOKS.fp4, 'fp4'), int4: make(CODEBOOKS.int4, 'int4') };
}
