import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CODEBOOKS } from '../../src/quant/codebooks.ts';
import {
  absmaxOf, byteLength, dequantize, dequantizeToBfloat16, quantize, quantizePieces,
} from '../../src/quant/quantize.ts';
import type { DoubleQuantized, QuantizedTensor, QuantType } from '../../src/quant/quantize.ts';
import { Random } from '../../src/random.ts';

const quantTypes: QuantType[] = ['nf4', 'fp4', 'int4'];

function gaussian(count: number, sigma = 1): Float32Array {
  const random = Random.for(7, 'gaussian');
  return Float32Array.from({ length: count }, () => sigma * random.normal());
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function nested(tensor: QuantizedTensor): DoubleQuantized {
  if (tensor.absmax instanceof Float32Array) throw new Error('the scales are not quantised');
  return tensor.absmax;
}

function meanErrors(values: Float32Array, quantType: QuantType): { mae: number; rmse: number } {
  const back = dequantize(quantize(values, [values.length], { quantType }));
  const errors = Array.from(values, (value, i) => back[i]! - value);
  return {
    mae: errors.reduce((sum, error) => sum + Math.abs(error), 0) / errors.length,
    rmse: Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length),
  };
}

describe('the golden vector, made with bitsandbytes', () => {
  const x = Float32Array.from({ length: 19200 }, (_, i) => ((i * 37) % 101 - 50) / 64 * (1 + Math.floor(i / 64) % 7));
  const tensor = quantize(x, [300, 64]);

  it('packs to the same bytes', () => {
    expect([...tensor.packed.subarray(0, 16)])
      .toEqual([4, 193, 110, 41, 243, 176, 93, 23, 226, 159, 60, 5, 209, 142, 42, 244]);
    expect(sha256(tensor.packed)).toBe('8b81d442b98fa9c62124aceeb85579c29cf4c3e63e67c01ff27546750abad7b5');
  });

  it('has the same scales before double quantisation', () => {
    const { absmax } = quantize(x, [300, 64], { doubleQuant: false });
    expect(absmax).toBeInstanceOf(Float32Array);
    expect([...(absmax as Float32Array).subarray(0, 8)])
      .toEqual([0.78125, 1.5625, 2.34375, 3.125, 3.90625, 4.6875, 5.46875, 0.78125]);
  });

  it('has the same scales after it: codes, offset and second-level scales', () => {
    const { codes, nestedAbsmax, offset, blockSize } = nested(tensor);
    expect([...codes.subarray(0, 16)]).toEqual([0, 24, 47, 150, 207, 231, 255, 0, 24, 47, 91, 207, 231, 255, 0, 24]);
    expect(sha256(codes)).toBe('663026add52521d542ed78dbb27fd8fb9b73594a8617eda3e13d8d673b9d4b26');
    expect(offset).toBe(3.112968683242798);
    expect([...nestedAbsmax].map((scale) => scale.toFixed(6))).toEqual(['2.355781', '2.355781']);
    expect(blockSize).toBe(256);
  });

  it('dequantises to the same values', () => {
    const expected = [
      -0.77375150, -0.22008695, 0.34099990, -0.53868020, -0.07045010, 0.55938894, -0.40627605, 0.12451998,
    ];
    const back = dequantize(tensor);
    expected.forEach((value, i) => expect(Math.abs(back[i]! - value)).toBeLessThan(6e-9));
  });
});

describe('quantize', () => {
  it('packs the first value of a pair in the high nibble', () => {
    const tensor = quantize(Float32Array.of(1, -1, 0, 1), [4], { doubleQuant: false });
    expect([...tensor.packed]).toEqual([0xf0, 0x7f]);
  });

  it('turns an all-zero block into zeros, beside one that is not', () => {
    const values = new Float32Array(128);
    values.fill(0.5, 64);
    const tensor = quantize(values, [2, 64], { doubleQuant: false });
    expect([...tensor.packed.subarray(0, 32)]).toEqual(new Array(32).fill(0x77));
    expect(dequantize(tensor)).toEqual(values);
    for (const quantType of quantTypes) {
      const zeros = dequantize(quantize(new Float32Array(64), [64], { quantType }));
      expect(zeros.every((value) => value === 0), quantType).toBe(true);
    }
  });

  it('gives a tie to the lower code, and the next float32 above it to the higher', () => {
    const { nf4 } = CODEBOOKS;
    for (let code = 0; code < 15; code++) {
      const midpoint = Math.fround(Math.fround(nf4[code]! + nf4[code + 1]!) / 2);
      const above = Math.fround(midpoint + Math.max(Math.abs(midpoint), 1e-3) * 2 ** -23);
      const { packed } = quantize(Float32Array.of(midpoint, above, 1, -1), [4]);
      expect([packed[0]! >> 4, packed[0]! & 15], `between ${code} and ${code + 1}`).toEqual([code, code + 1]);
    }
  });

  it.each(quantTypes)('takes the nearest %s code: within half a gap of the block\'s scale', (quantType) => {
    const values = gaussian(64 * 100, 0.02);
    const tensor = quantize(values, [100, 64], { quantType, doubleQuant: false });
    const scales = absmaxOf(tensor);
    const codes = [...CODEBOOKS[quantType]];
    const back = dequantize(tensor);
    values.forEach((value, i) => {
      const scale = scales[Math.floor(i / 64)]!;
      const nearest = Math.min(...codes.map((code) => Math.abs(code * scale - value)));
      expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(nearest + 1e-6 * scale);
    });
  });

  it.each(quantTypes)('takes the nearest %s code around each midpoint, and at the ends', (quantType) => {
    const codes = [...new Set(CODEBOOKS[quantType])].filter((code) => !Object.is(code, -0)).sort((a, b) => a - b);
    const midpoints = codes.slice(1).map((code, i) => Math.fround(Math.fround(code + codes[i]!) / 2));
    const word = new DataView(new ArrayBuffer(4));
    // So many float32s further from zero, or nearer.
    const beside = (value: number, steps: number) => {
      word.setFloat32(0, value);
      word.setUint32(0, word.getUint32(0) + steps);
      return word.getFloat32(0);
    };
    const around = midpoints.flatMap((midpoint) => [-2, -1, 0, 1, 2].map((steps) => beside(midpoint, steps)));
    const points = [...around, ...codes, 0, -0, 1e-30, -1e-30, 1 - 2 ** -24, -1 + 2 ** -24];
    for (const x of points) {
      const { packed } = quantize(Float32Array.of(x, 1), [2], { quantType, doubleQuant: false });
      const rank = midpoints.filter((midpoint) => x > midpoint).length;
      expect(CODEBOOKS[quantType][packed[0]! >> 4], `${x}`).toBe(codes[rank]);
    }
  });

  it('quantises piece by piece to the same bytes', () => {
    const values = gaussian(3 * 4096 + 77);
    const pieces = [values.subarray(0, 4096), values.subarray(4096, 3 * 4096), values.subarray(3 * 4096)];
    for (const blockSize of [32, 64, 4096]) {
      const whole = quantize(values, [values.length], { blockSize });
      expect(quantizePieces(pieces, [values.length], { blockSize })).toEqual(whole);
    }
    const short = [values.subarray(0, 4095), values.subarray(4095)];
    expect(() => quantizePieces(short, [values.length])).toThrow(RangeError);
    expect(() => quantizePieces(pieces.slice(1), [values.length])).toThrow(RangeError);
  });

  it('holds values as large and as small as float32 has', () => {
    const values = Float32Array.of(3.4028234663852886e38, -3.4028234663852886e38, 1e38, 0);
    expect([...quantize(values, [4], { doubleQuant: false }).packed]).toEqual([0xf0, 0xb7]);
    expect([...quantize(Float32Array.of(1e-45, -1e-45), [2], { doubleQuant: false }).packed]).toEqual([0x77]);
  });

  it.each([1, 2, 63, 65, 129, 1000])('holds %d values: the last block shorter, the last nibble perhaps alone', (count) => {
    const values = gaussian(count);
    const tensor = quantize(values, [count]);
    expect(tensor.packed).toHaveLength(Math.ceil(count / 2));
    expect(absmaxOf(tensor)).toHaveLength(Math.ceil(count / 64));
    const back = dequantize(tensor);
    // Half the widest gap of NF4 is 0.152 of the scale, and double quantisation blurs the scale a little.
    values.forEach((value, i) => {
      const block = values.subarray(i - i % 64, i - i % 64 + 64);
      const scale = block.reduce((most, other) => Math.max(most, Math.abs(other)), 0);
      expect(Math.abs(back[i]! - value)).toBeLessThanOrEqual(0.2 * scale);
    });
    if (count % 2 === 1) expect(tensor.packed.at(-1)! & 15).toBe(0);
  });

  // From bitsandbytes, on a Gaussian weight; a sample of 2^19 reproduces them to 0.5 %.
  it.each([
    ['nf4', 0.0728, 0.0920],
    ['fp4', 0.0965, 0.1219],
  ] as const)('errs on a Gaussian as %s does: MAE %f σ, RMSE %f σ', (quantType, mae, rmse) => {
    const errors = meanErrors(gaussian(2 ** 19), quantType);
    expect(Math.abs(errors.mae / mae - 1)).toBeLessThan(0.005);
    expect(Math.abs(errors.rmse / rmse - 1)).toBeLessThan(0.005);
  });

  it('errs less in NF4 than in Int4, and less in Int4 than in FP4, on a Gaussian', () => {
    const values = gaussian(2 ** 16);
    const [nf4, fp4, int4] = quantTypes.map((quantType) => meanErrors(values, quantType).mae);
    expect(nf4).toBeLessThan(int4!);
    expect(int4).toBeLessThan(fp4!);
  });

  it('refuses what it cannot hold', () => {
    expect(() => quantize(new Float32Array(3), [2, 2])).toThrow(RangeError);
    expect(() => quantize(new Float32Array(64), [64], { blockSize: 48 })).toThrow(RangeError);
    expect(() => quantize(Float32Array.of(1, NaN), [2])).toThrow(RangeError);
    expect(() => quantize(Float32Array.of(1, -Infinity), [2])).toThrow(RangeError);
  });
});

describe('dequantize', () => {
  it('writes into the array it is given, whole', () => {
    const values = gaussian(129);
    const out = new Float32Array(129).fill(NaN);
    const tensor = quantize(values, [3, 43]);
    expect(dequantize(tensor, out)).toBe(out);
    expect(out).toEqual(dequantize(tensor));
    expect(() => dequantize(tensor, new Float32Array(128))).toThrow(RangeError);
  });

  it('changes nothing the second time round', () => {
    const once = dequantize(quantize(gaussian(4096), [64, 64], { doubleQuant: false }));
    expect(dequantize(quantize(once, [64, 64], { doubleQuant: false }))).toEqual(once);
  });
});

describe('the bytes held', () => {
  const matrix = quantize(new Float32Array(1024 * 1024), [1024, 1024]);

  it('are 4.127 bits a parameter with double quantisation, 4.5 without', () => {
    expect(8 * byteLength(matrix) / 2 ** 20).toBeCloseTo(4 + 8 / 64 + 32 / (64 * 256), 4);
    expect((8 * byteLength(matrix) / 2 ** 20).toFixed(3)).toBe('4.127');
    expect(8 * byteLength(quantize(new Float32Array(1024), [1024], { doubleQuant: false })) / 1024).toBe(4.5);
  });

  it('are counted with the offset', () => {
    expect(byteLength(matrix)).toBe(2 ** 19 + 2 ** 14 + 4 * 2 ** 6 + 4);
    const small = quantize(new Float32Array(64), [64]);
    expect(byteLength(small)).toBe(32 + 1 + 4 + 4);
  });
});

describe('the way back to bfloat16', () => {
  it.each(quantTypes)('is the float32 of it rounded to the nearest, the even one in a tie: %s', (quantType) => {
    const tensor = quantize(gaussian(64 * 9 + 10, 0.02), [2, 293], { quantType });
    const rounded = Uint16Array.from(new Uint32Array(dequantize(tensor).buffer), (word) => {
      const rest = word & 0xffff;
      const up = rest > 0x8000 || (rest === 0x8000 && (word >>> 16 & 1) === 1);
      return (word >>> 16) + Number(up);
    });
    expect(new Uint16Array(dequantizeToBfloat16(tensor).buffer)).toEqual(rounded);
  });

  it('refuses what does not go in pairs, and room for fewer or more', () => {
    expect(() => dequantizeToBfloat16(quantize(gaussian(3), [3]))).toThrow(RangeError);
    expect(() => dequantizeToBfloat16(quantize(gaussian(4), [4]), new Int32Array(3))).toThrow('holds 3 pairs, not 2');
  });
});
