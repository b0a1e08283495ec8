import { z } from 'zod';
import { UserError } from '../errors.ts';
import { CODEBOOKS, DYNAMIC_MAP } from '../quant/codebooks.ts';
import { isBlockSize } from '../quant/quantize.ts';
import type { DoubleQuantized, QuantizedTensor } from '../quant/quantize.ts';
import { sizeOf } from '../shape.ts';
import { parseAs } from './files.ts';
import { positiveInteger } from './issue.ts';
import { float32Of } from './safetensors.ts';
import type { TensorData, TensorSource } from './safetensors.ts';

/**
 * A 4-bit weight as bitsandbytes saves it: the packed bytes under the weight's own name, and
 * beside them its scales, its tables and a JSON text, each a tensor of the state dict.
 */
const SATELLITES = ['.absmax', '.quant_map', '.nested_absmax', '.nested_quant_map'];
const STATE = '.quant_state.bitsandbytes__';

const stateSchema = z.object({
  quant_type: z.enum(['nf4', 'fp4']),
  blocksize: z.int().refine(isBlockSize, 'se esperaba una potencia de dos entre 32 y 4096'),
  /** The type that the weight had, and to which bitsandbytes casts it back. */
  dtype: z.enum(['bfloat16', 'float16', 'float32']),
  shape: z.array(positiveInteger).min(1),
});
const nestedSchema = z.object({ nested_blocksize: positiveInteger, nested_dtype: z.literal('float32'), nested_offset: z.number() });

export type OriginalDtype = z.infer<typeof stateSchema>['dtype'];

export interface SavedWeight {
  readonly tensor: QuantizedTensor;
  readonly dtype: OriginalDtype;
}

const quantizationConfig = z.object({
  quant_method: z.string().default('bitsandbytes'), // early versions did not name it
  load_in_4bit: z.boolean().default(false),
});

/**
 * Whether `config.json` says that bitsandbytes has put the weights in 4 bits. Which of them, the files tell: the
 * modules of `llm_int8_skip_modules` are wide there.
 *
 * @param file its path, for messages
 * @throws UserError if the weights are quantised in another way
 */
export function isQuantizedConfig(config: unknown, file: string): boolean {
  const subject = `El archivo «${file}»`;
  const parsed = parseAs(z.object({ quantization_config: quantizationConfig.nullish() }), config, subject);
  if (!parsed.quantization_config) return false;
  const { quant_method: method, load_in_4bit: isIn4bit } = parsed.quantization_config;
  if (method === 'bitsandbytes' && isIn4bit) return true;
  throw new UserError(
    `${subject} dice que los pesos están cuantizados con «${method}»${method === 'bitsandbytes' ? ' en 8 bits' : ''} y solo `
    + 'se leen los de «bitsandbytes» en 4 bits (load_in_4bit): elige otra versión del modelo.');
}

/** The field `quantization_config` for weights quantised so, with the fields that bitsandbytes' loader reads. */
export function quantizationConfigOf(
  { quantType, doubleQuant }: { quantType: 'nf4' | 'fp4'; doubleQuant: boolean }, computeDtype: OriginalDtype,
): object {
  return {
    quant_method: 'bitsandbytes',
    load_in_4bit: true,
    load_in_8bit: false,
    bnb_4bit_quant_type: quantType,
    bnb_4bit_use_double_quant: doubleQuant,
    bnb_4bit_compute_dtype: computeDtype,
    bnb_4bit_quant_storage: 'uint8',
  };
}

/** The weights among a state dict's names: a 4-bit one is a single name, and its satellites are left out. */
export function weightNames(names: readonly string[]): string[] {
  const quantized = names.filter((name) => name.includes(STATE)).map((name) => name.slice(0, name.indexOf(STATE)));
  const hidden = new Set(quantized.flatMap((weight) => SATELLITES.map((suffix) => weight + suffix)));
  return names.filter((name) => !hidden.has(name) && !name.includes(STATE));
}

/**
 * A weight that was saved in 4 bits, taken as it is; undefined if it was not.
 *
 * @throws UserError if its parts are missing, do not fit one another or hold no numbers, or were made with other tables
 */
export function readQuantized(source: TensorSource, weight: string): SavedWeight | undefined {
  const key = ['nf4', 'fp4'].map((type) => weight + STATE + type).find((name) => source.has(name));
  if (key === undefined) return undefined;
  const subject = `En «${source.pathOf(key)}», «${key}»`;
  const refuse = (why: string) => new UserError(`${subject} no casa con los datos del peso (${why}): vuelve a descargar el modelo.`);

  const json = parseJson(source.bytes(key));
  const { quant_type: quantType, blocksize: blockSize, dtype, shape } = parseAs(stateSchema, json, subject);
  const size = sizeOf(shape);
  const blocks = Math.ceil(size / blockSize);

  const expectLength = (what: string, found: number, expected: number) => {
    if (found !== expected) throw refuse(`«${what}» tiene ${found} elementos y se esperaban ${expected}`);
  };
  const expectTable = (suffix: string, table: Float32Array) => {
    const saved = float32Of(source, weight + suffix);
    // The last bit of a table depends on the machine that computed it.
    const same = saved.length === table.length && table.every((code, i) => Math.abs(code - saved[i]!) < 1e-6);
    if (!same) throw refuse(`«${weight}${suffix}» no es la tabla de bitsandbytes`);
  };
  const expectBytes = (name: string) => {
    const found = source.entry(name).dtype;
    if (found !== 'U8') throw refuse(`«${name}» es ${found} y se esperaba U8`);
    return source.bytes(name);
  };

  const scales = (name: string) => {
    const values = float32Of(source, name);
    if (!values.every(Number.isFinite)) throw refuse(`«${name}» tiene valores que no son números`);
    return values;
  };

  const packed = source.bytes(weight); // U8, or the same bytes under the name of a wider type (quant_storage)
  expectLength(weight, packed.length, Math.ceil(size / 2));
  expectTable('.quant_map', CODEBOOKS[quantType]);

  let absmax: Float32Array | DoubleQuantized;
  if (source.has(`${weight}.nested_absmax`)) {
    const nested = parseAs(nestedSchema, json, subject);
    const codes = expectBytes(`${weight}.absmax`);
    const nestedAbsmax = scales(`${weight}.nested_absmax`);
    expectLength(`${weight}.nested_absmax`, nestedAbsmax.length, Math.ceil(blocks / nested.nested_blocksize));
    expectTable('.nested_quant_map', DYNAMIC_MAP);
    absmax = { codes, nestedAbsmax, offset: Math.fround(nested.nested_offset), blockSize: nested.nested_blocksize };
    expectLength(`${weight}.absmax`, codes.length, blocks);
  } else {
    absmax = scales(`${weight}.absmax`);
    expectLength(`${weight}.absmax`, absmax.length, blocks);
  }
  return { tensor: { quantType, shape, blockSize, packed, absmax }, dtype };
}

/**
 * The state-dict entries of a 4-bit weight, as bitsandbytes writes them.
 *
 * @throws RangeError for int4, which bitsandbytes does not know
 */
export function writeQuantized(weight: string, { tensor, dtype }: SavedWeight): Record<string, TensorData> {
  const { quantType, shape, blockSize, packed, absmax } = tensor;
  if (quantType === 'int4') throw new RangeError('bitsandbytes has no int4: quantise to nf4 or fp4');
  const state = { quant_type: quantType, blocksize: blockSize, dtype, shape };
  const entries = {
    [weight]: bytes(packed, [packed.length, 1]),
    [`${weight}.quant_map`]: floats(CODEBOOKS[quantType]),
  };
  const key = `${weight}${STATE}${quantType}`;
  if (absmax instanceof Float32Array) {
    return { ...entries, [`${weight}.absmax`]: floats(absmax), [key]: pythonJson(state) };
  }
  return {
    ...entries,
    [`${weight}.absmax`]: bytes(absmax.codes),
    [`${weight}.nested_absmax`]: floats(absmax.nestedAbsmax),
    [`${weight}.nested_quant_map`]: floats(DYNAMIC_MAP),
    [key]: pythonJson({
      ...state, nested_blocksize: absmax.blockSize, nested_dtype: 'float32', nested_offset: absmax.offset,
    }),
  };
}

function parseJson(text: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(text));
  } catch {
    return undefined; // refused by the schema
  }
}

/** JSON with the spaces that Python's `json.dumps` puts after commas and colons. */
function pythonJson(value: object): TensorData {
  const fields = Object.entries(value).map(([name, field]) => {
    const text = Array.isArray(field) ? `[${field.join(', ')}]` : JSON.stringify(field);
    return `${JSON.stringify(name)}: ${text}`;
  });
  return bytes(new TextEncoder().encode(`{${fields.join(', ')}}`));
}

function bytes(data: Uint8Array, shape: readonly number[] = [data.length]): TensorData {
  return { dtype: 'U8', shape, data };
}

function floats(data: Float32Array): TensorData {
  return { dtype: 'F32', shape: [data.length], data };
}
