import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DownloadShow } from '../checkpoint/download.ts';
import { sha256Of } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { findPython, required, run } from './tools.ts';
import type { Wheel } from './wheels.ts';

export interface Fetching {
  /** Folder that is being filled: gets `deps/` and `include/`. */
  readonly stage: string;
  readonly show: DownloadShow;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What is taken of wheels that pip fetches, one after another: of none more than its file is there besides.
 *
 * @throws UserError without Python or pip, when pip does not give a wheel, or it is not the one that is known
 */
export async function fetchWheels(wheels: readonly Wheel[], fetching: Fetching): Promise<void> {
  const { command: python } = required(findPython(), ', o da con --from la carpeta de una biblioteca que ya tengas');
  const folder = join(fetching.stage, 'wheels');
  for (const [index, wheel] of wheels.entries()) {
    await download(python, wheel, folder, { index: index + 1, files: wheels.length }, fetching);
    const file = join(folder, wheel.file);
    await unpackWheel(python, wheel, file, fetching);
    rmSync(file);
  }
}

/** @throws UserError if the file is not the wheel that is known, cannot be unpacked, or lacks what it should have */
export async function unpackWheel(python: string, wheel: Wheel, file: string, fetching: Fetching): Promise<void> {
  const found = sha256Of(file);
  if (found !== wheel.sha256) {
    throw new UserError(
      `El archivo «${basename(file)}» no es el que se esperaba: su SHA-256 es ${found} y debía ser ${wheel.sha256}; `
      + 'bórralo de donde haya salido (también de la caché de pip, con «pip cache purge») y repite.');
  }
  await unpack(python, file, wheel.members, fetching);
  const missing = wheel.needed.find((path) => !existsSync(join(fetching.stage, path)));
  if (missing === undefined) return;
  throw new UserError(`En «${basename(file)}» falta ${basename(missing)}, que TensorFlow necesita: usa otra versión del paquete.`);
}

async function unpack(
  python: string, file: string, members: readonly string[], { stage, show, signal }: Fetching,
): Promise<void> {
  const name = basename(file);
  const began = performance.now();
  const line = (text: string) => {
    const [bytes = 0, totalBytes = 0] = text.split(' ').map(Number);
    show.progress({
      name, file: `desempaqueta ${name}`, index: 1, files: 1, bytes, totalBytes,
      bytesPerSecond: bytes / (performance.now() - began) * 1000, complete: bytes === totalBytes,
    });
  };
  const script = join(import.meta.dirname, 'unpack.py');
  const { ok, reason } = await run(python, [script, file, stage, ...members], { signal, line });
  if (!ok) throw withoutSpace(reason) ?? new UserError(`No se puede desempaquetar «${name}» (${reason}): repite la orden.`);
}

async function download(
  python: string, { project, version, file, bytes: totalBytes }: Wheel, folder: string,
  which: { readonly index: number; readonly files: number }, { stage, show, signal }: Fetching,
): Promise<void> {
  const temporary = join(stage, 'tmp'); // on the disk that was found to have room, and its growth is the progress
  for (const each of [temporary, folder]) mkdirSync(each, { recursive: true });
  const began = performance.now();
  const tell = (complete: boolean) => {
    const bytes = Math.min(bytesUnder(temporary) + bytesUnder(folder), totalBytes);
    const bytesPerSecond = bytes / (performance.now() - began) * 1000;
    show.progress({ name: project, file, ...which, bytes, totalBytes, bytesPerSecond, complete });
  };
  const watch = setInterval(tell, 300, false);
  const { ok, reason } = await run(python, [
    '-m', 'pip', 'download', '--quiet', '--no-input', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:',
    '--retries', '2', '--dest', folder, ...platformOf(file), `${project}==${version}`,
  ], { env: { TMPDIR: temporary }, signal });
  clearInterval(watch);
  if (!ok || !existsSync(join(folder, file))) {
    const others = which.files === 1 ? '' : ` y los otros ${which.files - 1}`;
    throw withoutSpace(reason) ?? new UserError(
      `pip no da ${project} ${version} (${ok ? `sino ${readdirSync(folder).join(', ')}` : reason}): comprueba la red, o baja `
      + `«${file}»${others} en otra máquina y da su carpeta con --from.`);
  }
  tell(true);
}

function withoutSpace(reason: string): UserError | undefined {
  if (!/no space left|ENOSPC|quota/i.test(reason)) return undefined;
  return new UserError('El disco está lleno: libera espacio y repite la orden.');
}

/** What pip has to be told so that it takes this wheel, whatever Python it runs on. */
function platformOf(file: string): string[] {
  const [python, abi, platforms] = file.slice(0, -'.whl'.length).split('-').slice(-3) as [string, string, string];
  const version = /^cp3(\d+)$/.exec(python)?.[1];
  return [
    ...platforms.split('.').flatMap((platform) => ['--platform', platform]),
    ...(version === undefined ? [] : ['--python-version', `3.${version}`, '--implementation', 'cp', '--abi', abi]),
  ];
}

/** Of what is there while it is looked at: files come and go. */
function bytesUnder(folder: string): number {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.reduce((sum, name) => {
    const path = join(folder, name);
    const found = statSync(path, { throwIfNoEntry: false });
    return sum + (found?.isDirectory() ? bytesUnder(path) : found?.size ?? 0);
  }, 0);
}
