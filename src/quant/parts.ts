import type { QuantizedTensor } from './quantize.ts';

/**
 * A matrix, (out, in), as matrices of some of its rows each, whose packed values take no more bytes than `bytes`: just
 * itself, if it does not. They share its memory. A part begins where a block of scales does.
 *
 * @throws RangeError if the fewest rows of which that is so take more bytes, or a row is no whole number of blocks
 */
export function rowParts(whole: QuantizedTensor, bytes: number): QuantizedTensor[] {
  const { shape, packed, absmax, blockSize } = whole;
  if (packed.length <= bytes) return [whole];
  const [out, input] = shape as [number, number];
  const scales = input / blockSize; // a row
  if (!Number.isInteger(scales)) throw new RangeError(`rows of ${input} values are not blocks of ${blockSize}`);
  const together = absmax instanceof Float32Array ? 1 : absmax.blockSize; // scales that are quantised together
  let least = 1;
  while (least * scales % together !== 0) least *= 2;
  const rows = Math.floor(bytes / (least * input / 2)) * least;
  if (rows === 0) throw new RangeError(`${least} rows of ${input} values take more than ${bytes} bytes`);
  return Array.from({ length: Math.ceil(out / rows) }, (_, part) => {
    const [from, to] = [part * rows, Math.min(out, (part + 1) * rows)];
    const [first, last] = [from * scales, to * scales];
    return {
      ...whole, shape: [to - from, input], packed: packed.subarray(from * input / 2, to * input / 2),
      absmax: absmax instanceof Float32Array ? absmax.subarray(first, last) : {
        ...absmax, codes: absmax.codes.subarray(first, last),
        nestedAbsmax: absmax.nestedAbsmax.subarray(first / together, Math.ceil(last / together)),
      },
    };
  });
}
