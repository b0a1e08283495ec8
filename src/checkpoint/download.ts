import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import {
  closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, futimesSync, mkdirSync, openSync, readdirSync,
  renameSync, rmSync, statSync, statfsSync, writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { isAlive } from '../lifeline.ts';
import { codeOf, piecesAt } from './files.ts';
import { arriving, attempts, longestWait, RangeIgnored, reasonOf, Refusal, Unreachable } from './network.ts';
import type { Patience } from './network.ts';

/** How far the files of one download are. */
export interface DownloadProgress {
  /** What is being downloaded, as the person called it. */
  readonly name: string;
  readonly file: string;
  /** Which file of how many, from 1. */
  readonly index: number;
  readonly files: number;
  /** Bytes on disk of all the files together; what will be there is unknown for a server that does not say. */
  readonly bytes: number;
  readonly totalBytes: number | undefined;
  /** Of what came over the network in this run. */
  readonly bytesPerSecond: number;
  /** Whether `file` has just been completed and verified. */
  readonly complete: boolean;
}

/** Who is told about a download. */
export interface DownloadShow {
  progress(progress: DownloadProgress): void;
  line(text: string): void;
}

export const silent: DownloadShow = { progress: () => {}, line: () => {} };

/** A partial file untouched for so many milliseconds belongs to nobody, whatever its process says. */
const abandonedAfter = 2 * attempts * longestWait;

/** The bytes of a file, and what they have to be. */
export interface Content {
  /** What to call it in a sentence, as in «model.safetensors» de «org/nombre». */
  readonly subject: string;
  /** In bytes, where the server says. */
  readonly size: number | undefined;
  readonly checksum: Checksum | undefined;
  /** Its bytes from `offset` on. */
  open(offset: number): Promise<ReadableStream<Uint8Array>>;
}

/** SHA-256 of the bytes; or what git calls a blob: SHA-1 of «blob », their number, a zero, and the bytes. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'git';
  readonly hex: string;
}

/** Counts what comes, and tells it. */
export class Tally {
  private index = 0;
  private bytes = 0;
  private fresh = 0;
  private file = '';
  private readonly startedAt = performance.now();

  constructor(
    readonly show: DownloadShow, private readonly name: string, private readonly files: number,
    private readonly totalBytes: number | undefined,
  ) {}

  begin(file: string): void {
    this.file = file;
    this.index++;
  }

  /** @param fresh whether they came over the network now, and were not here already */
  add(bytes: number, fresh: boolean): void {
    this.bytes += bytes;
    if (fresh) this.fresh += bytes;
    this.tell(false);
  }

  complete(): void {
    this.tell(true);
  }

  private tell(complete: boolean): void {
    const { name, file, index, files, bytes, totalBytes, fresh } = this;
    const bytesPerSecond = fresh / ((performance.now() - this.startedAt) / 1000);
    this.show.progress({ name, file, index, files, bytes, totalBytes, bytesPerSecond, complete });
  }
}

/**
 * Brings a file whole, verified and in one move to its place. What a broken transfer left beside it is gone on with
 * from its last byte; two processes never write the same partial file: the second waits for the first.
 *
 * @throws UserError if the bytes are not the promised ones (they are removed), the transfer keeps breaking (what came
 *   is kept, to go on from), or the disk is full or cannot be written
 * @throws Refusal if the server will not give them
 */
export async function downloadFile(
  target: string, content: Content, patience: Patience, tally: Tally,
): Promise<void> {
  try {
    mkdirSync(dirname(target), { recursive: true });
    const partial = await claimPartial(target, () =>
      tally.show.line(`Otro proceso está descargando ${content.subject}: se espera a que acabe…`));
    if (partial === undefined) return; // another process has brought it
    const file = openSync(partial, 'a+');
    try {
      const checksum = await transfer(file, content, patience, tally);
      fsyncSync(file);
      if (content.checksum !== undefined && checksum !== content.checksum.hex) {
        rmSync(partial);
        throw wrongChecksum(content, checksum);
      }
    } catch (error) {
      futimesSync(file, 0, 0); // given up: the next process need not wait for this one to end
      throw error;
    } finally {
      closeSync(file);
    }
    renameSync(partial, target);
  } catch (error) {
    throw diskError(target, error);
  }
}

/**
 * Refuses now what would not fit later.
 *
 * @throws UserError if the disk of `folder` has less free space than `bytes`
 */
export function checkSpace(folder: string, bytes: number): void {
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytes) {
    throw new UserError(`Hay que descargar ${formatBytes(bytes)} y en el disco de «${folder}» quedan `
      + `${formatBytes(bavail * bsize)}: libera espacio o indica otro con HF_HOME.`);
  }
}

/** Bytes that broken transfers have left for `target`. */
export function partialBytes(target: string): number {
  if (!existsSync(dirname(target))) return 0;
  return readdirSync(dirname(target))
    .filter((name) => ownerOf(name, basename(target)) !== undefined)
    .reduce((sum, name) => sum + (statSync(join(dirname(target), name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

/** Appends what is missing; returns the checksum of the whole. */
async function transfer(file: number, content: Content, patience: Patience, tally: Tally): Promise<string> {
  const { size } = content;
  let here = fstatSync(file).size;
  if (size !== undefined && here > size) here = startOver(file);
  let hash = hashOf(content);
  for (const piece of piecesAt(file)) hash.update(piece);
  tally.add(here, false);
  for (let failures = 0, restarts = 0; size === undefined || here < size;) {
    futimesSync(file, new Date(), new Date()); // alive, and not abandoned
    try {
      for await (const bytes of arriving(await content.open(here), patience.timeout)) {
        for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written);
        hash.update(bytes);
        here += bytes.length;
        failures = 0;
        tally.add(bytes.length, true);
      }
      if (size === undefined) break;
      if (here < size) throw new Error('cut short');
    } catch (error) {
      if (error instanceof RangeIgnored && ++restarts < attempts) {
        tally.add(-here, false);
        here = startOver(file);
        hash = hashOf(content);
      } else if (isNotOfTheNetwork(error)) {
        throw error;
      } else if (error instanceof Unreachable || error instanceof RangeIgnored || ++failures === attempts) {
        throw new UserError(`La descarga de ${content.subject} se ha cortado (${reasonOf(error)}) y no se deja continuar; lo que `
          + 'ha llegado queda guardado: repite la orden y seguirá donde quedó.');
      } else {
        await delay(patience.pause * 2 ** failures);
      }
    }
  }
  return hash.digest('hex');
}

/**
 * The partial file of this process for `target`, taken over from a process that is gone if there is one;
 * undefined once `target` is there. The file itself is the lock: its name says whose it is, and renaming it, which
 * only one process can, makes it another's.
 */
async function claimPartial(target: string, onWait: () => void): Promise<string | undefined> {
  const ours = `${target}.${host}-${process.pid}.incomplete`;
  for (let waited = false; !existsSync(target);) {
    if (existsSync(ours)) return ours;
    const others = readdirSync(dirname(target)).flatMap((name) => ownerOf(name, basename(target)) ?? []);
    if (others.some((other) => isAtWork(join(dirname(target), other.name), other))) {
      if (!waited) onWait();
      waited = true;
      await delay(100);
      continue;
    }
    const [left] = others;
    if (left === undefined) return ours;
    try {
      renameSync(join(dirname(target), left.name), ours);
      return ours;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error; // another process was quicker
    }
  }
  return undefined;
}

interface Owner {
  readonly name: string;
  readonly host: string;
  readonly pid: number;
}

const host = hostname().replaceAll(/[^\w.]/g, '_');

function ownerOf(name: string, target: string): Owner | undefined {
  if (!name.startsWith(`${target}.`)) return undefined;
  const [, host, pid] = /^([\w.]+)-(\d+)\.incomplete$/.exec(name.slice(target.length + 1)) ?? [];
  return host === undefined ? undefined : { name, host, pid: Number(pid) };
}

/** A process of another machine is believed as long as its file is young. */
function isAtWork(path: string, owner: Owner): boolean {
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (written === undefined || Date.now() - written > abandonedAfter) return false;
  return owner.host !== host || isAlive(owner.pid);
}

function startOver(file: number): 0 {
  ftruncateSync(file, 0);
  return 0;
}

function hashOf({ checksum, size }: Content): Hash {
  return checksum?.algorithm === 'git' ? createHash('sha1').update(`blob ${size}\0`) : createHash('sha256');
}

function isNotOfTheNetwork(error: unknown): boolean {
  return error instanceof UserError || error instanceof Refusal || fullDisk.includes(codeOf(error) ?? '');
}

function wrongChecksum({ subject, checksum }: Content, found: string): UserError {
  const name = checksum!.algorithm === 'git' ? 'el SHA-1 de git' : 'el SHA-256';
  return new UserError(`Lo descargado como ${subject} no es lo que se anuncia: ${name} debía ser ${checksum!.hex} y es `
    + `${found}; se ha borrado: repite la orden y, si vuelve a pasar, no te fíes de ese servidor.`);
}

const fullDisk = ['ENOSPC', 'EDQUOT', 'EFBIG'];

function diskError(target: string, error: unknown): unknown {
  const code = codeOf(error) ?? '';
  if (fullDisk.includes(code)) {
    return new UserError(`No queda espacio en el disco para descargar «${target}»: libera espacio y repite la orden, `
      + 'que seguirá donde quedó.');
  }
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(code)) {
    return new UserError(`No se puede escribir en «${dirname(target)}», donde se guarda lo descargado: `
      + 'cambia sus permisos o indica otra carpeta con HF_HOME.');
  }
  return error;
}
