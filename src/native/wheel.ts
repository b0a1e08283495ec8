import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { DownloadShow } from '../checkpoint/download.ts';
import { sha256Of } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { findPython, required, run } from './tools.ts';

/** A wheel of TensorFlow whose native library is taken; its Python is not used. */
export interface Wheel {
  readonly project: string;
  readonly version: string;
  /** Its file's name. */
  readonly file: string;
  /** Undefined: what the index says it is, which pip checks. */
  readonly sha256: string | undefined;
  /** Of the file, where it is known. */
  readonly bytes: number | undefined;
}

export const tensorflowVersion = '2.21.0';
const tags = 'cp311-cp311-manylinux_2_27_x86_64';

export const cpuWheel: Wheel = {
  project: 'tensorflow-cpu',
  version: tensorflowVersion,
  file: `tensorflow_cpu-${tensorflowVersion}-${tags}.whl`,
  sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  bytes: 273_829_956,
};

/** The same with CUDA. No machine of ours has had it: its hash is the index's. */
export const cudaWheel: Wheel = {
  project: 'tensorflow', version: tensorflowVersion, file: `tensorflow-${tensorflowVersion}-${tags}.whl`,
  sha256: undefined, bytes: undefined,
};

const platform = ['--platform', 'manylinux_2_27_x86_64', '--platform', 'manylinux2014_x86_64'];

/** What is taken out of a TensorFlow wheel: the libraries, and the headers that the binding includes. */
const tensorflowMembers = [
  'tensorflow/libtensorflow_=deps/lib/libtensorflow_',
  'tensorflow/include/tensorflow/c/=include/tensorflow/c/',
  'tensorflow/include/tensorflow/core/platform/ctstring=include/tensorflow/core/platform/ctstring',
  'tensorflow/include/tsl/platform/ctstring=include/tsl/platform/ctstring',
  'tensorflow/include/xla/tsl/c/=include/xla/tsl/c/',
];

/** TensorFlow looks for CUDA's libraries beside its own folder, where pip leaves those of the `nvidia-*` wheels. */
const cudaMembers = ['nvidia/=deps/nvidia/'];

export interface Fetching {
  /** Folder that is being filled: gets `deps/` and `include/`. */
  readonly stage: string;
  readonly show: DownloadShow;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The library and headers of a wheel that pip fetches, and with CUDA the libraries that it asks for.
 *
 * @throws UserError without Python or pip, when pip does not give the wheel, or it is not the one that is known
 */
export async function fetchWheel(wheel: Wheel, { stage, show, signal }: Fetching): Promise<void> {
  const { command: python } = required(findPython(), ', o da con --from la carpeta de una biblioteca que ya tengas');
  const folder = join(stage, 'wheels');
  const fetching = { stage, show, signal };
  await download(
    python, [...platform, '--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311', `${wheel.project}==${wheel.version}`],
    wheel, folder, fetching,
  );
  const file = join(folder, wheel.file);
  await unpackWheel(python, wheel, file, fetching);
  const companions = wheel === cudaWheel ? await cudaRequirements(python, file) : [];
  rmSync(file);
  if (companions.length === 0) return;
  const nvidia: Wheel = { ...cudaWheel, project: 'nvidia-*', file: 'nvidia-*' };
  await download(python, [...platform, ...companions], nvidia, folder, fetching);
  for (const name of readdirSync(folder)) {
    await unpack(python, join(folder, name), cudaMembers, fetching);
    rmSync(join(folder, name));
  }
}

/** @throws UserError if the file is not the wheel that is known, or cannot be unpacked */
export async function unpackWheel(python: string, wheel: Wheel, file: string, fetching: Fetching): Promise<void> {
  if (wheel.sha256 !== undefined) {
    const found = sha256Of(file);
    if (found !== wheel.sha256) {
      throw new UserError(
        `El fichero «${basename(file)}» no es el que se esperaba: su SHA-256 es ${found} y debía ser ${wheel.sha256}; `
        + 'bórralo de donde haya salido (también de la caché de pip, con «pip cache purge») y repite.');
    }
  }
  await unpack(python, file, tensorflowMembers, fetching);
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

/** @param wanted options and requirements, as pip takes them */
async function download(
  python: string, wanted: readonly string[], { project, version, file, bytes: totalBytes }: Wheel, folder: string,
  { stage, show, signal }: Fetching,
): Promise<void> {
  const temporary = join(stage, 'tmp'); // on the disk that was found to have room, and its growth is the progress
  for (const each of [temporary, folder]) mkdirSync(each, { recursive: true });
  const began = performance.now();
  const tell = (complete: boolean) => {
    const bytes = Math.min(bytesUnder(temporary) + bytesUnder(folder), totalBytes ?? Infinity);
    const bytesPerSecond = bytes / (performance.now() - began) * 1000;
    show.progress({ name: project, file, index: 1, files: 1, bytes, totalBytes, bytesPerSecond, complete });
  };
  const watch = setInterval(tell, 300, false);
  const { ok, reason } = await run(python, [
    '-m', 'pip', 'download', '--quiet', '--no-input', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:',
    '--retries', '2', '--dest', folder, ...wanted,
  ], { env: { TMPDIR: temporary }, signal });
  clearInterval(watch);
  if (!ok) {
    throw withoutSpace(reason) ?? new UserError(
      `pip no da ${project} ${version} (${reason}): comprueba la red, o baja «${file}» en otra máquina y da su carpeta `
      + 'con --from.');
  }
  tell(true);
}

function withoutSpace(reason: string): UserError | undefined {
  if (!/no space left|ENOSPC|quota/i.test(reason)) return undefined;
  return new UserError('El disco está lleno: libera espacio y repite la orden.');
}

/** The libraries that a wheel of TensorFlow asks for to run on CUDA, as requirements of pip. */
async function cudaRequirements(python: string, file: string): Promise<string[]> {
  const script = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    print(archive.read(name).decode())`;
  const requirements: string[] = [];
  await run(python, ['-c', script, file], {
    line: (text) => {
      const asked = /^Requires-Dist: (.+?); extra == "and-cuda"$/.exec(text)?.[1];
      if (asked) requirements.push(asked);
    },
  });
  return requirements;
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
