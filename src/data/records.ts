import { constants } from 'node:buffer';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { piecesAt, readError } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { formatBytes } from '../format.ts';

/**
 * The records of a data file, unchecked: a JSON array, JSON Lines (one record a line, of any size) or Parquet. The
 * contents say which; the hub has JSON Lines under the name of `.json` too.
 *
 * @param columns those worth reading of a Parquet file
 * @throws UserError if the file cannot be read or is none of them
 */
export async function readRecords(path: string, columns: readonly string[]): Promise<unknown[]> {
  const head = headOf(path);
  if (head.startsWith('PAR1')) return readParquet(path, columns);
  return /^\uFEFF?\s*\[/.test(head) ? readArray(path) : [...readLines(path)];
}

function readArray(path: string): unknown[] {
  const { size } = statSync(path);
  if (size > constants.MAX_STRING_LENGTH) {
    throw new UserError(`«${path}» ocupa ${formatBytes(size)} y una lista JSON solo se lee hasta `
      + `${formatBytes(constants.MAX_STRING_LENGTH)}: pásala a JSON Lines, con un registro por línea.`);
  }
  const text = decoderOf(path)(readFileSync(path));
  try {
    return JSON.parse(text) as unknown[];
  } catch {
    throw new UserError(`El archivo «${path}» no es JSON válido: ábrelo y corrígelo, o vuelve a descargarlo.`);
  }
}

function* readLines(path: string): Generator<unknown> {
  let number = 0;
  for (const line of linesOf(path)) {
    number++;
    if (line.trim() === '') continue;
    try {
      yield JSON.parse(line);
    } catch {
      throw new UserError(`La línea ${number} de «${path}» no es JSON: se esperaba una lista JSON de registros, `
        + 'un registro en JSON por línea (JSON Lines), o un archivo Parquet.');
    }
  }
}

/** By pieces: the whole may be larger than a string can be. */
function* linesOf(path: string): Generator<string> {
  const decode = decoderOf(path);
  const file = openSync(path, 'r');
  let pending = '';
  try {
    for (const piece of piecesAt(file)) {
      const lines = (pending + decode(piece, { stream: true })).split('\n');
      pending = lines.pop()!;
      yield* lines;
    }
  } finally {
    closeSync(file);
  }
  yield pending + decode();
}

async function readParquet(path: string, columns: readonly string[]): Promise<unknown[]> {
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    const present = parquetSchema(metadata).children.map(({ element }) => element.name);
    // Where none of them is there, the first field tells what is.
    const wanted = present.filter((name) => columns.includes(name));
    return await parquetReadObjects({ file, metadata, columns: wanted.length > 0 ? wanted : present.slice(0, 1) });
  } catch (error) {
    // The library's words, in English, where they name what it does not read.
    const [, unsupported] = /unsupported (.*)/.exec((error as Error).message) ?? [];
    throw new UserError(`El archivo Parquet «${path}» no se puede leer ` + (unsupported === undefined
      ? '(está cortado o dañado): vuelve a descargarlo, o pásalo a JSON Lines.'
      : `(no se admite «${unsupported}»): pásalo a Parquet con Snappy o a JSON Lines.`));
  }
}

/** Its first 4 kB as text. */
function headOf(path: string): string {
  try {
    const file = openSync(path, 'r');
    try {
      const bytes = new Uint8Array(4096);
      return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, readSync(file, bytes)));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw readError(path, error);
  }
}

/** Of UTF-8, piece by piece, less a mark at the beginning. In another encoding, what is learnt would be garbled. */
export function decoderOf(path: string): TextDecoder['decode'] {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return (...piece) => {
    try {
      return decoder.decode(...piece);
    } catch {
      throw new UserError(`El texto de «${path}» no es UTF-8: ábrelo con la codificación que tenga y guárdalo como UTF-8.`);
    }
  };
}
