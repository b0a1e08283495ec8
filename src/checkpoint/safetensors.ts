import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { readError, writeFileAtomic } from './files.ts';

const bytesOf = { F32: 4, F16: 2, BF16: 2, U8: 1, I32: 4, I64: 8 } as const;
export type DType = keyof typeof bytesOf;

export interface TensorEntry {
  readonly dtype: DType;
  readonly shape: number[];
}

export interface TensorData extends TensorEntry {
  readonly data: Uint8Array | Uint16Array | Int32Array | Float32Array;
}

/** An open safetensors file: its header is in memory, its tensors are read when asked for. */
export interface Safetensors {
  readonly metadata: Record<string, string>;
  names(): string[];
  entry(name: string): TensorEntry;
  bytes(name: string): Uint8Array;
  /** Values widened from F32, F16 or BF16. */
  float32(name: string): Float32Array;
}

const headerSchema = z.record(z.string(), z.object({
  dtype: z.enum(Object.keys(bytesOf) as [DType, ...DType[]]),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
}));

/**
 * Opens a file in the safetensors format (8 bytes of header length, JSON header, tensors end to end).
 *
 * @throws UserError when the file is missing, cut short, or its header does not describe it
 */
export function readSafetensors(path: string): Safetensors {
  const broken = (what: string) =>
    new UserError(`El archivo «${path}» está dañado o incompleto (${what}): vuelve a descargarlo o a generarlo.`);
  const size = withFile(path, (file) => fstatSync(file).size);
  if (size < 8) throw broken(`mide ${size} bytes`);
  const headerLength = Number(Buffer.from(readAt(path, 0, 8)).readBigUInt64LE());
  if (8 + headerLength > size) throw broken(`anuncia una cabecera de ${headerLength} bytes y mide ${size}`);

  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(readAt(path, 8, headerLength)).toString('utf8'));
  } catch {
    throw broken('su cabecera no es JSON');
  }
  const { __metadata__, ...rest } = z.looseObject({ __metadata__: z.record(z.string(), z.string()).optional() }).catch({}).parse(json);
  const parsed = headerSchema.safeParse(rest);
  if (!parsed.success) throw broken(`su cabecera no es válida en «${parsed.error.issues[0]!.path.join('.')}»`);
  const entries = new Map(Object.entries(parsed.data));

  const start = 8 + headerLength;
  let end = 0;
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of [...entries].sort((a, b) => a[1].data_offsets[0] - b[1].data_offsets[0])) {
    if (from !== end) throw broken(`el tensor «${name}» se solapa con otro o deja un hueco`);
    if (to - from !== bytesOf[dtype] * shape.reduce((a, b) => a * b, 1)) throw broken(`el tensor «${name}» no mide lo que dice su forma`);
    end = to;
  }
  if (start + end !== size) throw broken(`debería medir ${start + end} bytes y mide ${size}`);

  const entry = (name: string) => {
    const found = entries.get(name);
    if (!found) throw new UserError(`El archivo «${path}» no tiene el tensor «${name}»: comprueba que sea del mismo modelo.`);
    return found;
  };
  const bytes = (name: string) => {
    const [from, to] = entry(name).data_offsets;
    return readAt(path, start + from, to - from);
  };
  return {
    metadata: __metadata__ ?? {},
    names: () => [...entries.keys()],
    entry,
    bytes,
    float32: (name) => widen(bytes(name), entry(name).dtype, () => broken(`el tensor «${name}» es ${entry(name).dtype} y se esperaban números reales`)),
  };
}

/** Writes tensors whole or not at all; the header is padded to 8 bytes, as the reference library does. */
export function writeSafetensors(path: string, tensors: Record<string, TensorData>, metadata?: Record<string, string>): void {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  const pieces: Uint8Array[] = [];
  let offset = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - text.length % 8) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileAtomic(path, [length, padded, ...pieces]);
}

/** bfloat16 bits of float32 values, rounded to the nearest, ties to even. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (x) => (x + 0x7fff + ((x >>> 16) & 1)) >>> 16);
}

function widen(bytes: Uint8Array, dtype: DType, refuse: () => Error): Float32Array {
  // A copy of its own, so that it begins at a multiple of four bytes.
  const { buffer } = bytes.slice();
  if (dtype === 'F32') return new Float32Array(buffer);
  const halves = dtype === 'BF16' || dtype === 'F16' ? new Uint16Array(buffer) : undefined;
  if (!halves) throw refuse();
  if (dtype === 'F16') return Float32Array.from(halves, float16);
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

/** IEEE 754 half precision. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function withFile<T>(path: string, use: (file: number) => T): T {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw readError(path, error);
  }
  try {
    return use(file);
  } catch (error) {
    throw readError(path, error);
  } finally {
    closeSync(file);
  }
}

function readAt(path: string, position: number, length: number): Uint8Array {
  return withFile(path, (file) => {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const read = readSync(file, bytes, done, length - done, position + done);
      if (read === 0) throw new UserError(`El archivo «${path}» se ha acortado mientras se leía: vuelve a descargarlo o a generarlo.`);
      done += read;
    }
    return bytes;
  });
}
