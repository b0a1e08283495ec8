import { closeSync, fstatSync, fsyncSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import { sizeOf } from '../shape.ts';
import { readError, writeError, writeFileAtomic, writeWhole } from './files.ts';
import { fromBfloat16, fromFloat16 } from './halves.ts';

/**
 * The safetensors format: eight bytes with the header's length, a JSON header, and the tensors'
 * bytes one after another without gaps (https://huggingface.co/docs/safetensors).
 */

/** Bytes of one value, by type; in the order of the reference library, which lays out the last type first. */
const BYTES = {
  BOOL: 1, U8: 1, I8: 1, I16: 2, U16: 2, F16: 2, BF16: 2, I32: 4, U32: 4, F32: 4, F64: 8, I64: 8, U64: 8,
} as const;

export type Dtype = keyof typeof BYTES;

export interface TensorEntry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export interface TensorData extends TensorEntry {
  /** The tensor's bytes, row-major and little-endian. */
  readonly data: Uint8Array | Uint16Array | Int32Array | Float32Array;
}

/** Named tensors that are read one at a time: one file, or several that make up a model. */
export interface TensorSource {
  readonly paths: readonly string[];
  names(): string[];
  has(name: string): boolean;
  /** @throws UserError if there is no such tensor */
  entry(name: string): TensorEntry;
  /** A fresh copy of the tensor's bytes. @throws UserError if there is no such tensor, or the file changed */
  bytes(name: string): Uint8Array;
  /**
   * The tensor's bytes, so many at a time; each piece lies in a buffer that the next overwrites.
   * @throws UserError as `bytes`
   */
  pieces(name: string, length: number): Iterable<Uint8Array>;
  /** Where a tensor is, for messages. */
  pathOf(name: string): string;
}

export interface SafetensorsFile extends TensorSource {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensor widened to float32. @throws UserError if it is not F32, F16 or BF16 */
  float32(name: string): Float32Array;
}

const encoder = new TextEncoder();

/** As the reference library: no header is longer. */
const LONGEST_HEADER = 100_000_000;

const dtype = z.enum(Object.keys(BYTES) as [Dtype, ...Dtype[]]);
const metadataSchema = z.record(z.string(), z.string()).nullable();
const entrySchema = z.object({
  dtype,
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
/** Types of the format that nothing here reads. */
const unreadSchema = z.object({ dtype: z.string().regex(/^(F[468](_\w+)?|C64)$/) });

interface Placed extends TensorEntry {
  /** Where the bytes lie: from the beginning of the file when read, after the header when written. */
  readonly start: number;
  readonly end: number;
}

/**
 * Opens a safetensors file: the header is read and checked now, each tensor when asked for.
 *
 * @throws UserError if the file is missing, truncated or not well formed
 */
export function readSafetensors(path: string): SafetensorsFile {
  const { metadata, tensors } = readHeader(path);

  const find = (name: string): Placed => {
    const placed = tensors.get(name);
    if (placed === undefined) {
      throw new UserError(`En «${path}» falta el tensor «${name}»: comprueba que el archivo es del modelo esperado.`);
    }
    return placed;
  };
  const entry = (name: string): TensorEntry => find(name);
  const bytes = (name: string): Uint8Array => {
    const { start, end } = find(name);
    return withFile(path, (file) => readRange(path, file, start, end));
  };
  const pieces = function* (name: string, length: number): Generator<Uint8Array> {
    const { start, end } = find(name);
    const buffer = new Uint8Array(Math.min(length, end - start));
    for (let position = start; position < end; position += length) {
      const piece = buffer.subarray(0, Math.min(length, end - position));
      withFile(path, (file) => readInto(path, file, position, piece));
      yield piece;
    }
  };
  const source: TensorSource = {
    paths: [path],
    names: () => [...tensors.keys()],
    has: (name) => tensors.has(name),
    entry,
    bytes,
    pieces,
    pathOf: () => path,
  };
  return { ...source, path, metadata, float32: (name) => float32Of(source, name) };
}

/**
 * Writes a safetensors file, byte for byte as the reference library lays it out: wide types first,
 * then by name, the header padded with spaces to a multiple of eight.
 *
 * @throws UserError if the disk is full or the place cannot be written
 * @throws RangeError if a tensor's bytes do not fill its shape
 */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorData>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const sorted = Object.entries(tensors).sort(([nameA, a], [nameB, b]) =>
    widestFirst(a, b) || compareBytes(encoder.encode(nameA), encoder.encode(nameB)));

  const placed = new Map<string, Placed>();
  const pieces: Uint8Array[] = [];
  let start = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    checkSize(name, { dtype, shape }, data.byteLength);
    placed.set(name, { dtype, shape, start, end: start + data.byteLength });
    pieces.push(bytesOf(data));
    start += data.byteLength;
  }
  writeFileAtomic(path, [headerOf(placed, metadata), ...pieces]);
}

/**
 * A safetensors file written one tensor after another, for more of them than memory holds. Where each lies is known
 * only then, so the header is written last, into room that was left for it; until then the file is none.
 *
 * @throws UserError, here and in its methods, if the disk is full or the place cannot be written
 */
export class SafetensorsWriter {
  private readonly file: number;
  private isOpen = true;
  private readonly placed = new Map<string, Placed>();
  /** Tensors of odd lengths come last, so that every other stays on a multiple of eight bytes. */
  private readonly odd: [string, TensorData][] = [];
  private position = 0;

  /** @param room bytes for the header */
  constructor(
    readonly path: string, private readonly room: number, private readonly metadata: Readonly<Record<string, string>>,
  ) {
    this.file = this.writing(() => openSync(path, 'wx'));
    this.room = Math.ceil(room / 8) * 8;
  }

  /** Bytes of the tensors so far. */
  get size(): number {
    return this.odd.reduce((sum, [, { data }]) => sum + data.byteLength, this.position);
  }

  /**
   * @param pieces the tensor's bytes
   * @throws RangeError if they do not fill its shape
   */
  add(name: string, { dtype, shape }: TensorEntry, pieces: Iterable<Uint8Array>): void {
    if (sizeInBytes({ dtype, shape }) % 8 !== 0) {
      this.odd.push([name, { dtype, shape, data: Buffer.concat([...pieces].map((piece) => Uint8Array.from(piece))) }]);
    } else {
      this.write(name, { dtype, shape }, pieces);
    }
  }

  /** @throws RangeError if the header has not enough room */
  close(): void {
    this.odd.sort(([, a], [, b]) => widestFirst(a, b));
    for (const [name, tensor] of this.odd) this.write(name, tensor, [bytesOf(tensor.data)]);
    const header = headerOf(this.placed, this.metadata, this.room);
    this.writing(() => {
      writeWhole(this.file, header, 0);
      fsyncSync(this.file);
    });
    this.abandon();
  }

  /** Lets go of the file as it is, unless it is closed. */
  abandon(): void {
    if (this.isOpen) closeSync(this.file);
    this.isOpen = false;
  }

  private write(name: string, { dtype, shape }: TensorEntry, pieces: Iterable<Uint8Array>): void {
    const start = this.position;
    for (const piece of pieces) {
      this.writing(() => writeWhole(this.file, piece, this.room + this.position));
      this.position += piece.length;
    }
    checkSize(name, { dtype, shape }, this.position - start);
    this.placed.set(name, { dtype, shape, start, end: this.position });
  }

  private writing<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw writeError(this.path, error);
    }
  }
}

function checkSize(name: string, entry: TensorEntry, bytes: number): void {
  if (bytes === sizeInBytes(entry)) return;
  throw new RangeError(`safetensors: «${name}» has ${bytes} bytes for ${entry.dtype} [${entry.shape.join(', ')}]`);
}

/** As strings of UTF-8 are ordered, and not those of UTF-16. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const at = a.findIndex((byte, i) => byte !== b[i]);
  return at === -1 ? a.length - b.length : a[at]! - (b[at] ?? -1);
}

/** Later in the list of types is wider. */
function widestFirst(a: TensorEntry, b: TensorEntry): number {
  const types = Object.keys(BYTES);
  return types.indexOf(b.dtype) - types.indexOf(a.dtype);
}

/** The first bytes of a file: length and JSON, padded with spaces to a multiple of eight, or to `room`. */
function headerOf(
  tensors: ReadonlyMap<string, Placed>, metadata: Readonly<Record<string, string>>, room?: number,
): Uint8Array {
  const fields = [...tensors].map(([name, { dtype, shape, start, end }]) =>
    `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [start, end] })}`);
  if (Object.keys(metadata).length > 0) fields.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = encoder.encode(`{${fields.join(',')}}`);
  const length = room ?? 8 + Math.ceil(json.length / 8) * 8;
  if (8 + json.length > length) throw new RangeError(`safetensors: a header of ${json.length} bytes in ${length}`);
  const header = new Uint8Array(length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length - 8), true);
  header.set(json, 8);
  return header;
}

/** An array's own bytes. */
export function bytesOf({ buffer, byteOffset, byteLength }: TensorData['data']): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The types that a weight may have. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/**
 * The type of a tensor that is to be widened to float32.
 *
 * @throws UserError if there is no such tensor, or it is not F32, F16 or BF16
 */
export function floatDtypeOf(source: TensorSource, name: string): FloatDtype {
  const { dtype } = source.entry(name);
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return dtype;
  throw new UserError(
    `En «${source.pathOf(name)}», el tensor «${name}» es ${dtype} y se esperaba F32, F16 o BF16: `
    + 'usa un modelo con los pesos en uno de esos tipos.');
}

/**
 * A tensor of any source widened to float32.
 *
 * @throws UserError if there is no such tensor, or it is not F32, F16 or BF16
 */
export function float32Of(source: TensorSource, name: string): Float32Array {
  const values = new Float32Array(sizeOf(source.entry(name).shape));
  let offset = 0;
  for (const piece of float32PiecesOf(source, name)) {
    values.set(piece, offset);
    offset += piece.length;
  }
  return values;
}

/** A multiple of every block size of 4-bit weights; small enough to stay in a processor's cache. */
const VALUES_PER_PIECE = 2 ** 18;

/**
 * The same 2^18 values at a time, each piece in a buffer that the next overwrites: a large tensor is never
 * wide as a whole.
 *
 * @throws UserError as `float32Of`
 */
export function* float32PiecesOf(source: TensorSource, name: string): Generator<Float32Array> {
  const dtype = floatDtypeOf(source, name);
  const widened = new Float32Array(dtype === 'F32' ? 0 : VALUES_PER_PIECE);
  for (const { buffer, byteOffset, byteLength } of source.pieces(name, VALUES_PER_PIECE * BYTES[dtype])) {
    const count = byteLength / BYTES[dtype];
    if (dtype === 'F32') {
      yield new Float32Array(buffer, byteOffset, count);
    } else {
      const values = widened.subarray(0, count);
      (dtype === 'BF16' ? fromBfloat16 : fromFloat16)(new Uint16Array(buffer, byteOffset, count), values);
      yield values;
    }
  }
}

function readHeader(path: string): { metadata: Record<string, string>; tensors: Map<string, Placed> } {
  return withFile(path, (file) => {
    const { size } = fstatSync(file);
    if (size < 8) throw broken(path, `solo tiene ${size} bytes`);
    const length = Number(new DataView(readRange(path, file, 0, 8).buffer).getBigUint64(0, true));
    if (length > LONGEST_HEADER) throw broken(path, `la cabecera dice medir ${length} bytes`);
    const begin = 8 + length;
    if (begin > size) throw broken(path, `la cabecera dice medir ${length} bytes y el archivo acaba antes`);
    const text = headerText(path, readRange(path, file, 8, begin));

    const tensors = new Map<string, Placed>();
    let metadata: Record<string, string> = {};
    for (const [name, value] of Object.entries(parseObject(path, text))) {
      if (name === '__metadata__') {
        const parsed = metadataSchema.safeParse(value);
        if (!parsed.success) throw broken(path, 'sus metadatos no son textos');
        metadata = parsed.data ?? {};
        continue;
      }
      const { dtype: other } = unreadSchema.safeParse(value).data ?? {};
      if (other !== undefined) {
        throw new UserError(`En «${path}», el tensor «${name}» es ${other}, que aquí no se lee; se leen `
          + `${Object.keys(BYTES).join(', ')}: usa un modelo con los pesos en otro tipo.`);
      }
      const parsed = entrySchema.safeParse(value);
      if (!parsed.success) throw broken(path, `la entrada «${name}» no indica un tipo conocido, una forma y un lugar`);
      const { dtype, shape, data_offsets: [start, end] } = parsed.data;
      if (end - start !== sizeInBytes({ dtype, shape })) {
        throw broken(path, `«${name}» ocupa ${end - start} bytes, que no son los de ${dtype} [${shape.join(', ')}]`);
      }
      tensors.set(name, { dtype, shape, start: begin + start, end: begin + end });
    }
    checkLayout(path, tensors, begin, size);
    return { metadata, tensors };
  });
}

function headerText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(bytes);
  } catch {
    throw broken(path, 'su cabecera no es UTF-8');
  }
}

function parseObject(path: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Refused below: whatever broke it, the file is to be fetched again.
  }
  throw broken(path, 'su cabecera no es un objeto JSON');
}

/** The tensors fill the file from the header to the end, without gaps and without overlapping. */
function checkLayout(path: string, tensors: Map<string, Placed>, begin: number, size: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let position = begin;
  for (const [name, { start, end }] of inOrder) {
    if (start < position) throw broken(path, `«${name}» se solapa con otro tensor`);
    if (start > position) throw broken(path, `hay un hueco antes de «${name}»`);
    if (end > size) throw broken(path, `está cortado: le faltan bytes a «${name}»`);
    position = end;
  }
  if (position < size) throw broken(path, `sobran ${size - position} bytes al final`);
}

export function sizeInBytes({ dtype, shape }: TensorEntry): number {
  return BYTES[dtype] * sizeOf(shape);
}

function withFile<T>(path: string, use: (file: number) => T): T {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    return use(file);
  } catch (error) {
    throw readError(path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Bytes `start` to `end` of an open file, in a buffer of their own, so that wider views may lie on it. */
function readRange(path: string, file: number, start: number, end: number): Uint8Array {
  const bytes = new Uint8Array(end - start);
  readInto(path, file, start, bytes);
  return bytes;
}

function readInto(path: string, file: number, start: number, bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;) {
    const count = readSync(file, bytes, offset, Math.min(bytes.length - offset, 2 ** 30), start + offset);
    if (count === 0) throw broken(path, 'está cortado');
    offset += count;
  }
}

function broken(path: string, why: string): UserError {
  return new UserError(`El archivo «${path}» no es un safetensors válido (${why}): vuelve a descargarlo o a generarlo.`);
}
