import { createHash, randomUUID } from 'node:crypto';
import {
  copyFileSync, constants, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statfsSync,
  statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { DownloadShow } from '../checkpoint/download.ts';
import { readJson, writeError } from '../checkpoint/files.ts';
import { UserError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { isAlive } from '../lifeline.ts';
import { bindingFile } from '../tensor/backend.ts';
import { findCompiler, findNodeHeaders, findPython, required, run, selfCheck } from './tools.ts';
import { fetchWheels, unpackWheel } from './wheel.ts';
import type { Fetching } from './wheel.ts';
import { cpuWheel, cudaFolder, cudaLibraries, cudaWheels } from './wheels.ts';
import type { Wheel } from './wheels.ts';

/** Where the native library comes from: pip's wheel, the package's own script (TensorFlow 2.9.1), or a folder. */
export type Source = 'pip' | 'google' | { readonly folder: string };

export interface SetupOptions {
  readonly source: Source;
  readonly cuda: boolean;
  /** The package that gets the library. */
  readonly folder: string;
  readonly show: DownloadShow;
  readonly signal?: AbortSignal | undefined;
  /** What pip is asked for: TensorFlow, and the libraries of CUDA. */
  readonly wheels?: readonly Wheel[];
}

/** What a native library says of itself once it has computed correctly. */
const checked = z.object({
  /** Of TensorFlow. */
  version: z.string(),
  device: z.enum(['CPU', 'GPU']),
});
export type Checked = z.infer<typeof checked>;

/** What a set-up leaves in the package, beside the libraries. */
const marker = z.object({
  source: z.string(),
  cuda: z.boolean(),
  tensorflow: z.string(),
  device: z.enum(['CPU', 'GPU']),
  /** The SHA-256 of our operations that the binding was compiled with. */
  operations: z.string().default('none'),
});
export type Installed = z.infer<typeof marker>;

const markerFile = (folder: string) => join(folder, 'deps', 'setup.json');

/** What was set up there; undefined where nothing was, or not by us. */
export function installed(folder: string): Installed | undefined {
  const isThere = existsSync(bindingFile(folder)) && existsSync(markerFile(folder));
  return isThere ? readJson(markerFile(folder), marker) : undefined;
}

/** Libraries and binding, and what they need while they are made. */
const neededBytes = { cpu: 1.5e9, cuda: 7e9 };

/**
 * Gives the package its native library and compiles its binding against it. All is made in a copy of the package
 * beside it, which has to compute correctly before anything of the package changes.
 *
 * @returns what is there now, and whether it was there before
 * @throws UserError telling what is missing or went wrong, in which case the package is as it was
 */
export async function setUp(options: SetupOptions): Promise<Installed & { readonly already: boolean }> {
  const { source, cuda, folder, show, signal } = options;
  const name = typeof source === 'string' ? source : resolve(source.folder);
  const before = installed(folder);
  const operations = source === 'google' ? 'none' : operationsDigest();
  const isThere = before?.source === name && before.cuda === cuda && before.operations === operations
    && (await check(folder)).found;
  if (isThere) return { ...before, already: true };

  if (source !== 'google') checkPlatform();
  const stage = beginStage(folder);
  try {
    checkSpace(stage, cuda ? neededBytes.cuda : neededBytes.cpu);
    if (source === 'google') {
      await runInstallScript(stage, cuda, signal);
    } else {
      // Both are looked for before anything is downloaded.
      const compiler = required(findCompiler());
      const headers = required(findNodeHeaders());
      const wheels = options.wheels ?? (cuda ? cudaWheels : [cpuWheel]);
      if (source === 'pip') await fetchWheels(wheels, { stage, show, signal });
      else await takeFolder(source.folder, wheels, { stage, show, signal });
      show.line('Compila el enlace con Node…');
      await compile(stage, compiler.command, headers.folder, signal);
    }
    show.line('Comprueba un producto y un gradiente…');
    const { found, reason } = await check(stage);
    if (signal?.aborted) throw interrupted();
    if (!found) throw new UserError(`La biblioteca preparada no funciona (${reason}): el paquete queda como estaba.`);
    const now: Installed = { source: name, cuda, tensorflow: found.version, device: found.device, operations };
    writeFileSync(markerFile(stage), `${JSON.stringify(now)}\n`);
    replace(folder, stage);
    return { ...now, already: false };
  } catch (error) {
    throw signal?.aborted ? interrupted() : writeError(folder, error);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Takes the native library out of the package. @returns whether there was one */
export function undo(folder: string): boolean {
  const parts = ['lib', 'deps'].map((part) => join(folder, part)); // first the binding: without it nobody loads the rest
  const there = parts.some((part) => existsSync(part));
  for (const part of parts) rmSync(part, { recursive: true, force: true });
  return there;
}

const interrupted = () => new UserError('Interrumpido: el paquete queda como estaba.');

/** The wheels are for Linux on x86-64 with glibc; on other platforms Google's older build may exist. */
function checkPlatform(): void {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  const glibc = report.header?.glibcVersionRuntime;
  const [major = 0, minor = 0] = (glibc ?? '').split('.').map(Number);
  if (process.platform === 'linux' && process.arch === 'x64' && (major > 2 || (major === 2 && minor >= 27))) return;
  const libc = process.platform === 'linux' ? `, ${glibc ? `glibc ${glibc}` : 'sin glibc'}` : '';
  const here = `${process.platform} ${process.arch}${libc}`;
  throw new UserError(
    `La biblioteca de pip es para Linux x64 con glibc 2.27 o posterior, y esto es ${here}: prueba con --from google, o quédate `
    + 'con --backend wasm, que no necesita nada.');
}

function checkSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= bytes) return;
  throw new UserError(
    `Hacen falta ${formatBytes(bytes)} libres en el disco de «${dirname(folder)}» y quedan ${formatBytes(bavail * bsize)}: `
    + 'libera espacio y repite la orden.');
}

/** A copy of the package without native parts, beside it, so that it finds the same dependencies. */
function beginStage(folder: string): string {
  const beginning = `.${basename(folder)}-`;
  for (const name of readdirSync(dirname(folder)).filter((name) => name.startsWith(beginning))) {
    const owner = Number(name.slice(beginning.length).split('-')[0]);
    if (isAlive(owner)) continue;
    rmSync(join(dirname(folder), name), { recursive: true, force: true }); // of a set-up that was killed
  }
  const stage = join(dirname(folder), `${beginning}${process.pid}-${randomUUID().slice(0, 8)}`);
  const native = new Set(['deps', 'lib', 'build'].map((part) => join(folder, part)));
  cpSync(folder, stage, { recursive: true, filter: (path) => !native.has(path) });
  for (const part of ['deps/lib', 'lib']) mkdirSync(join(stage, part), { recursive: true });
  return stage;
}

/** Puts the stage's native parts in the place of the package's: the binding leaves first and comes last. */
function replace(folder: string, stage: string): void {
  const old = join(stage, 'old');
  mkdirSync(old);
  for (const part of ['lib', 'deps']) if (existsSync(join(folder, part))) renameSync(join(folder, part), join(old, part));
  for (const part of ['deps', 'lib']) renameSync(join(stage, part), join(folder, part));
}

/** The package's own way: Google's TensorFlow 2.9.1 and the binding that was compiled for it. */
async function runInstallScript(stage: string, cuda: boolean, signal?: AbortSignal): Promise<void> {
  const binaries = resolve(stage, '..', '..', '.bin'); // where it looks for node-pre-gyp
  const { ok, reason } = await run(process.execPath, ['scripts/install.js', cuda ? 'gpu' : 'cpu', 'download'], {
    cwd: stage, env: { PATH: `${binaries}:${process.env['PATH']}` }, signal,
  });
  if (ok && existsSync(bindingFile(stage))) return;
  throw new UserError(
    `El guion de instalación de @tensorflow/tfjs-node-gpu no lo consigue (${reason}): comprueba que la red llega a `
    + 'storage.googleapis.com, o usa --from pip.');
}

/** Libraries from a folder: wheels as pip downloads them, or unpacked, such as `site-packages/tensorflow`. */
async function takeFolder(given: string, wheels: readonly Wheel[], fetching: Fetching): Promise<void> {
  const folder = resolve(given);
  const { stage } = fetching;
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UserError(`«${given}» no es una carpeta: da en --from pip, google o la carpeta de la biblioteca.`);
  }
  const first = wheels[0]!.file;
  if (existsSync(join(folder, first))) {
    const missing = wheels.find(({ file }) => !existsSync(join(folder, file)));
    if (missing) {
      throw new UserError(
        `En «${given}» está ${first}, pero no «${missing.file}»: bájalo con «pip download --no-deps ${missing.project}==${missing.version}».`);
    }
    const { command } = required(findPython(), ', que abre los archivos de pip');
    for (const wheel of wheels) await unpackWheel(command, wheel, join(folder, wheel.file), fetching);
    return;
  }
  const places = [folder, join(folder, 'lib')];
  const place = places.find((each) => existsSync(join(each, 'libtensorflow_framework.so.2')) && libraryOf(each));
  if (place === undefined || !existsSync(join(folder, 'include', 'tensorflow', 'c', 'c_api.h'))) {
    throw new UserError(
      `En «${given}» no está la biblioteca: se esperaba ${first}, o bien libtensorflow_cc.so.2 (o libtensorflow.so.2), `
      + 'libtensorflow_framework.so.2 e include/tensorflow/c/c_api.h, como en la carpeta «tensorflow» de Python.');
  }
  for (const name of [libraryOf(place)!, 'libtensorflow_framework.so.2']) {
    copyFileSync(join(place, name), join(stage, 'deps', 'lib', name), constants.COPYFILE_FICLONE);
  }
  symlinkSync(join(folder, 'include'), join(stage, 'include'));
  const nvidia = join(dirname(folder), 'nvidia'); // CUDA as pip installs it
  if (existsSync(nvidia)) symlinkSync(nvidia, join(stage, cudaFolder));
}

function libraryOf(folder: string): string | undefined {
  return ['libtensorflow_cc.so.2', 'libtensorflow.so.2'].find((name) => existsSync(join(folder, name)));
}

/** Where operations of ours for TensorFlow are written. */
const operationsFolder = join(import.meta.dirname, '..', 'tensor', 'native');

/**
 * Compiles the binding that the package brings as source, two files against Node-API and TensorFlow's C API, and our
 * operations with it. Where CUDA's libraries were set up, it loads them before TensorFlow looks for them.
 */
async function compile(stage: string, compiler: string, nodeHeaders: string, signal?: AbortSignal): Promise<void> {
  const libraries = [libraryOf(join(stage, 'deps', 'lib'))!, 'libtensorflow_framework.so.2'].map((name) => `deps/lib/${name}`);
  const output = bindingFile(stage);
  mkdirSync(dirname(output), { recursive: true });
  const { ok, reason } = await run(compiler, [
    // Without contraction a product and a sum are rounded each, as in JavaScript.
    '-std=c++17', '-O3', '-ffp-contract=off', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=tfjs_binding',
    '-I', nodeHeaders, '-I', 'include', '-I', '.', 'binding/tfjs_backend.cc', 'binding/tfjs_binding.cc',
    ...operationSources(),
    ...(existsSync(join(stage, cudaFolder)) ? preloading(join('..', '..', cudaFolder)) : []),
    ...libraries, '-Wl,-rpath,$ORIGIN/../../deps/lib', '-o', output,
  ], { cwd: stage, signal });
  rmSync(join(stage, 'include'), { recursive: true, force: true });
  if (!ok) throw new UserError(`«${compiler}» no compila el enlace (${reason}): el paquete queda como estaba.`);
}

function operationSources(): string[] {
  return readdirSync(operationsFolder).filter((name) => name.endsWith('.cc')).map((name) => join(operationsFolder, name));
}

function operationsDigest(): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(operationsFolder).sort()) hash.update(readFileSync(join(operationsFolder, name)));
  return hash.digest('hex');
}

/**
 * What a compiler has to be told so that a library loads CUDA's first.
 *
 * @param folder where they lie, from the library's own
 */
export function preloading(folder: string): string[] {
  const names = cudaLibraries.map((path) => `"${join(folder, path)}"`).join(',');
  return [`-DCUDA_LIBRARIES=${names}`, join(import.meta.dirname, 'preload.cc'), '-ldl'];
}

/** Whether the package in the folder computes correctly, in a process of its own; why not, in words. */
export async function check(folder: string): Promise<{ found?: Checked; reason: string }> {
  const { found, reason } = await selfCheck('tensorflow', folder);
  if (found !== undefined) return { found: checked.parse(found), reason };
  const hint = reason.includes('SIGILL') ? ': la CPU no tiene las instrucciones AVX que pide' : '';
  return { reason: `${reason}${hint}` };
}
