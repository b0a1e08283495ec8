/** What the sixteen nibbles of a 4-bit weight stand for, and the 256 codes of a quantised scale or moment. */

export type QuantType = 'nf4' | 'fp4' | 'int4';

/**
 * NormalFloat4: quantiles of a standard normal, scaled to [-1, 1], with an exact zero
 * (QLoRA, arXiv:2305.14314, appendix E; the float32 values of bitsandbytes).
 */
const NF4 = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
  -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
);

/** FP4 in the order of its bit patterns (bitsandbytes): sign, two bits of exponent, one of mantissa; over 12. */
const FP4_MAGNITUDES = [0, 0.0625, 8, 12, 4, 6, 2, 3];
const FP4 = Float32Array.from([...FP4_MAGNITUDES, ...FP4_MAGNITUDES.map((code) => -code)], (code) => code / 12);

/** Int4: symmetric absmax, 15 levels from -7/7 to 7/7. The sixteenth nibble is never written. */
const INT4 = Float32Array.from({ length: 15 }, (_, nibble) => (nibble - 7) / 7);

/** Nibble -> value in [-1, 1], float32. */
export const CODEBOOKS: Readonly<Record<QuantType, Float32Array>> = { nf4: NF4, fp4: FP4, int4: INT4 };

/**
 * The signed 8-bit dynamic map of bitsandbytes (arXiv:1511.04561): one sign, a decimal exponent
 * from 10^-6 to 1, and as many fraction bits as the exponent leaves. 256 values, ascending,
 * float32 at every step: -0.99297 first, zero at 127, 1 last.
 */
export const DYNAMIC_MAP: Float32Array = dynamicMap({ signed: true });

/** The unsigned one has a fraction bit in the sign's place: zero first, 1 last. */
export const UNSIGNED_DYNAMIC_MAP: Float32Array = dynamicMap({ signed: false });

function dynamicMap({ signed }: { signed: boolean }): Float32Array {
  const codes = [0, 1];
  for (let exponent = -6; exponent <= 0; exponent++) {
    const scale = Math.fround(10 ** exponent);
    const boundaries = linspace(Math.fround(0.1), 1, 2 ** (exponent + (signed ? 6 : 7)) + 1);
    for (let i = 1; i < boundaries.length; i++) {
      const midpoint = Math.fround(Math.fround(boundaries[i - 1]! + boundaries[i]!) / 2);
      codes.push(Math.fround(scale * midpoint));
      if (signed) codes.push(-Math.fround(scale * midpoint));
    }
  }
  return Float32Array.from(codes).sort();
}

/**
 * Where in an ascending map the entry nearest to a float32 is, by float32 distance; a tie goes to the lower one. A
 * table by the first bits of x (sign, exponent, six of the mantissa) tells where to begin: few entries share them.
 */
export function nearestCodeOf(map: Float32Array): (x: number) => number {
  const starts = Uint8Array.from({ length: 2 ** 15 }, (_, bin) => {
    const lowest = Math.min(floatOf(bin << 17), floatOf(bin << 17 | 0x1ffff));
    return Math.max(0, map.findLastIndex((code) => code <= lowest));
  });
  return (x) => {
    float[0] = x;
    let low = Math.min(starts[bits[0]! >>> 17]!, map.length - 2);
    while (low < map.length - 2 && map[low + 1]! <= x) low++;
    const below = Math.fround(Math.abs(x - map[low]!));
    const above = Math.fround(Math.abs(map[low + 1]! - x));
    return above < below ? low + 1 : low;
  };
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

function floatOf(pattern: number): number {
  bits[0] = pattern;
  return float[0]!;
}

/** `torch.linspace` in float32: it counts from the nearer end, and rounds product and sum together. */
function linspace(start: number, end: number, count: number): Float32Array {
  const step = Math.fround(Math.fround(end - start) / (count - 1));
  const middle = Math.floor(count / 2);
  return Float32Array.from({ length: count }, (_, i) => i < middle ? start + step * i : end - step * (count - 1 - i));
}
