import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { QuantizedTensor } from '../quant/quantize.ts';
import type { Safetensors } from './safetensors.ts';

/** What bitsandbytes' JSON says beside the packed weight; the nested fields only with double quantisation. */
const quantState = z.object({
  quant_type: z.enum(['nf4', 'fp4']),
  blocksize: z.number().int().positive(),
  shape: z.array(z.number().int().positive()),
  nested_blocksize: z.number().int().positive().optional(),
  nested_offset: z.number().optional(),
});

const marker = '.quant_state.bitsandbytes__';
const satellites = ['.absmax', '.quant_map', '.nested_absmax', '.nested_quant_map'];

/** Names of the weights in a state dict that may hold 4-bit ones: their satellites are left out. */
export function logicalNames(names: readonly string[]): string[] {
  const quantized = names.filter((name) => name.includes(marker)).map((name) => name.slice(0, name.indexOf(marker)));
  const hidden = new Set(quantized.flatMap((weight) => satellites.map((suffix) => weight + suffix)));
  return names.filter((name) => !hidden.has(name) && !name.includes(marker));
}

/** A weight that bitsandbytes saved in 4 bits, taken as it is; undefined when the weight is not quantised. */
export function readQuantized(file: Safetensors, path: string, weight: string): QuantizedTensor | undefined {
  const stateName = file.names().find((name) => name.startsWith(weight + marker));
  if (stateName === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(file.bytes(stateName)).toString('utf8'));
  } catch {
    json = undefined;
  }
  const parsed = quantState.safeParse(json);
  if (!parsed.success) {
    throw new UserError(`El archivo «${path}» tiene un «${stateName}» que no es de bitsandbytes: vuelve a descargarlo o a generarlo.`);
  }
  const { quant_type: quantType, blocksize: blockSize, shape, nested_blocksize: nested, nested_offset: offset } = parsed.data;
  return {
    quantType, shape, blockSize,
    packed: file.bytes(weight),
    absmax: nested === undefined || offset === undefined
      ? file.float32(`${weight}.absmax`)
      : { codes: file.bytes(`${weight}.absmax`), nestedAbsmax: file.float32(`${weight}.nested_absmax`), offset, blockSize: nested },
  };
}
