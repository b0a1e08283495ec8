import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, renameSync, rmSync,
  statSync, writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { UserError } from '../errors.ts';
import { expected, issueText } from './issue.ts';

/**
 * Writes a file whole or not at all: beside its place first, flushed to the disk, then renamed.
 * Missing folders are made.
 *
 * @param data text, bytes, or pieces written one after another
 * @throws UserError if the disk is full or the place cannot be written; what stood there before still does
 */
export function writeFileAtomic(
  path: string, data: string | Uint8Array | Iterable<Uint8Array>, mode = 0o666,
): void {
  const beside = besideOf(path);
  try {
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(beside, 'wx', mode);
    try {
      writeAndClose(file, data);
      renameSync(beside, path);
    } catch (error) {
      rmSync(beside, { force: true });
      throw error;
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

/** A folder that is being filled beside its place. */
export interface PendingFolder {
  readonly path: string;
  /** Puts it in its place. @throws UserError if that cannot be written */
  commit(): void;
  /** Deletes it, unless it is in its place. */
  discard(): void;
}

/**
 * Begins a folder that appears whole or not at all. Folders above it are made.
 *
 * @throws UserError if there is something at its place, or nothing can be written there
 */
export function beginFolder(folder: string): PendingFolder {
  if (existsSync(folder) && !isEmptyFolder(folder)) {
    throw new UserError(`«${folder}» ya existe y no es una carpeta vacía: elige otra carpeta de salida, o bórrala antes.`);
  }
  const path = besideOf(folder);
  const writing = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw writeError(folder, error);
    }
  };
  writing(() => mkdirSync(path, { recursive: true }));
  return {
    path,
    commit: () => writing(() => renameSync(path, folder)),
    discard: () => rmSync(path, { recursive: true, force: true }),
  };
}

function isEmptyFolder(path: string): boolean {
  return statSync(path).isDirectory() && readdirSync(path).length === 0;
}

/** On the same disk, so that renaming is one step. */
function besideOf(path: string): string {
  return `${resolve(path)}.${randomUUID().slice(0, 8)}.tmp`;
}

/**
 * A JSON file, checked.
 *
 * @throws UserError if the file cannot be read, is not JSON, or does not fit the schema
 */
export function readJson<T>(path: string, schema: z.ZodType<T>): T {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw readError(path, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(`El archivo «${path}» no es JSON válido: ábrelo y corrígelo, o vuelve a descargarlo.`);
  }
  return parseAs(schema, value, `El archivo «${path}»`);
}

/**
 * A value from outside, checked.
 *
 * @param subject what to call it in the sentence, such as «El archivo «config.json»»
 * @throws UserError naming the first field at fault, what it has, and what was expected of it
 */
export function parseAs<T>(schema: z.ZodType<T>, value: unknown, subject: string): T {
  const parsed = schema.safeParse(value, { error: expected });
  if (parsed.success) return parsed.data;
  const why = issueText(parsed.error.issues[0]!, value);
  throw new UserError(`${subject} no tiene la forma esperada (${why}): corrígelo o usa otro.`);
}

/** SHA-256 of a file of any size, in hexadecimal. */
export function sha256Of(path: string): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'r');
  try {
    for (const piece of piecesAt(file)) hash.update(piece);
  } finally {
    closeSync(file);
  }
  return hash.digest('hex');
}

/** An open file from its beginning, 1 MiB at a time; each piece is good until the next. */
export function* piecesAt(file: number): Generator<Uint8Array> {
  const piece = new Uint8Array(1 << 20);
  for (let position = 0, length; (length = readSync(file, piece, 0, piece.length, position)) > 0; position += length) {
    yield piece.subarray(0, length);
  }
}

/** What the system said on reading, as a sentence for the person at the keyboard. */
export function readError(path: string, error: unknown): unknown {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ENOTDIR': {
      let above = dirname(path);
      while (!existsSync(above) && above !== dirname(above)) above = dirname(above);
      if (existsSync(above) && !statSync(above).isDirectory()) {
        return new UserError(`«${above}» es un archivo y se esperaba una carpeta: comprueba la ruta.`);
      }
      return new UserError(`No existe el archivo «${path}»: comprueba la ruta.`);
    }
    case 'EISDIR':
      return new UserError(`«${path}» es una carpeta y se esperaba un archivo: comprueba la ruta.`);
    case 'EACCES':
    case 'EPERM':
      return new UserError(`No hay permiso para leer «${path}»: cambia los permisos del archivo.`);
    default:
      return error;
  }
}

/** What the system said on writing, likewise. */
export function writeError(path: string, error: unknown): unknown {
  const untouched = 'no se ha dejado nada a medio escribir';
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new UserError(`No queda espacio en el disco para escribir «${path}» (${untouched}): libera espacio y repite.`);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new UserError(`No hay permiso para escribir «${path}» (${untouched}): elige otra carpeta de salida.`);
    case 'EISDIR':
    case 'ENOTDIR':
    case 'EEXIST':
      return new UserError(
        `No se puede escribir «${path}» porque choca con un archivo o una carpeta (${untouched}): elige otra ruta.`);
    default:
      return error;
  }
}

function writeAndClose(file: number, data: string | Uint8Array | Iterable<Uint8Array>): void {
  try {
    for (const piece of piecesOf(data)) writeWhole(file, piece);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function piecesOf(data: string | Uint8Array | Iterable<Uint8Array>): Iterable<Uint8Array> {
  if (typeof data === 'string') return [new TextEncoder().encode(data)];
  return data instanceof Uint8Array ? [data] : data;
}

/**
 * One call may write less than asked, and no more than 2 GiB.
 *
 * @param position from the beginning of the file; without it, where the last write ended
 */
export function writeWhole(file: number, bytes: Uint8Array, position: number | null = null): void {
  for (let offset = 0; offset < bytes.length;) {
    const at = position === null ? null : position + offset;
    offset += writeSync(file, bytes, offset, Math.min(bytes.length - offset, 2 ** 30), at);
  }
}

/** The system's code for an error, as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
