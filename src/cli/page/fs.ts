/**
 * What stands for `node:fs` in the page: the files that the page carries, and those that a training writes, in memory.
 * Only what the modules of a training call, and as Node has it.
 */
const files = new Map<string, File>();
/** By descriptor: which file, deleted or not, and where the next read or write without a place of its own begins. */
const open = new Map<number, { readonly file: File; at: number }>();
let lastFile = 2; // of the process's own three
let lastFolder = 0;

interface File {
  bytes: Uint8Array;
}

type Path = string | URL;

/** From the root: «assets/model/config.json» of «/assets/model/config.json» or of its address. */
const nameOf = (path: Path): string => (typeof path === 'string' ? path : path.pathname).replace(/^\//, '');

/** Puts the files of the page where the modules look for them. */
export function carry(carried: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, bytes] of carried) files.set(path, { bytes });
}

function fileAt(path: Path): File {
  const file = files.get(nameOf(path));
  if (!file) throw Object.assign(new Error(`ENOENT: no such file or directory, open '${nameOf(path)}'`), { code: 'ENOENT' });
  return file;
}

const isFolder = (path: Path) => [...files.keys()].some((name) => name.startsWith(`${nameOf(path)}/`));

export const existsSync = (path: Path): boolean => files.has(nameOf(path)) || isFolder(path);

export function readFileSync(path: Path, encoding?: 'utf8'): Uint8Array | string {
  const { bytes } = fileAt(path);
  return encoding === undefined ? bytes.slice() : new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

export function openSync(path: Path, flags: string): number {
  if (flags.startsWith('w')) files.set(nameOf(path), { bytes: new Uint8Array() });
  open.set(++lastFile, { file: fileAt(path), at: 0 });
  return lastFile;
}

export const closeSync = (file: number): void => void open.delete(file);
export const fsyncSync = (): void => undefined;

export function readSync(
  file: number, into: Uint8Array, offset = 0, length = into.length - offset, position: number | null = null,
): number {
  const held = open.get(file)!;
  const at = position ?? held.at;
  const part = held.file.bytes.subarray(at, at + length);
  into.set(part, offset);
  if (position === null) held.at += part.length;
  return part.length;
}

export function writeSync(
  file: number, bytes: Uint8Array, offset = 0, length = bytes.length - offset, position: number | null = null,
): number {
  const held = open.get(file)!;
  const at = position ?? held.at;
  if (at + length > held.file.bytes.length) {
    const longer = new Uint8Array(at + length);
    longer.set(held.file.bytes);
    held.file.bytes = longer;
  }
  held.file.bytes.set(bytes.subarray(offset, offset + length), at);
  if (position === null) held.at += length;
  return length;
}

export function writeFileSync(path: Path, bytes: Uint8Array): void {
  files.set(nameOf(path), { bytes: bytes.slice() });
}

export function statSync(path: Path) {
  const folder = isFolder(path);
  return { size: folder ? 0 : fileAt(path).bytes.length, isDirectory: () => folder };
}

export const fstatSync = (file: number) => ({ size: open.get(file)!.file.bytes.length });
export const mkdirSync = (): void => undefined;
export const mkdtempSync = (prefix: string): string => `${prefix}${++lastFolder}`;

export function renameSync(from: Path, to: Path): void {
  files.set(nameOf(to), fileAt(from));
  files.delete(nameOf(from));
}

export function rmSync(path: Path): void {
  for (const name of files.keys()) {
    if (name === nameOf(path) || name.startsWith(`${nameOf(path)}/`)) files.delete(name);
  }
}

export const readdirSync = (path: Path): string[] => [...files.keys()]
  .filter((name) => name.startsWith(`${nameOf(path)}/`))
  .map((name) => name.slice(nameOf(path).length + 1));
