import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { piecesAt } from '../checkpoint/files.ts';
import { output } from './tools.ts';
import type { Found } from './tools.ts';
import { cudaFolder, cudaLibraries, cudaVersionOf } from './wheels.ts';

/** NVIDIA's driver and the cards that it sees. */
export interface Nvidia {
  readonly driver: string;
  /** The latest CUDA that the driver runs; undefined where it tells none. */
  readonly cuda: string | undefined;
  readonly gpus: readonly Gpu[];
}

export interface Gpu {
  readonly name: string;
  readonly memoryBytes: number;
}

/** The first driver that runs CUDA 12 (NVIDIA, «CUDA Compatibility», minor version compatibility). */
export const oldestDriver = '525.60.13';

/** Whether a driver runs CUDA 12, which TensorFlow 2.21 is built with. */
export function runsCuda12(driver: string): boolean {
  const [have, need] = [driver, oldestDriver].map((version) => version.split('.').map(Number)) as [number[], number[]];
  const first = need.findIndex((part, i) => have[i] !== part);
  return first < 0 || (have[first] ?? 0) > need[first]!;
}

/** What `nvidia-smi` tells, or what keeps it from telling and what to do, in words. */
export function readNvidia(): Found<Nvidia> {
  const { status, stdout, error } = spawnSync('nvidia-smi', ['-q'], { encoding: 'utf8', timeout: 20_000 });
  if (status === null) {
    const why = (error as NodeJS.ErrnoException | undefined)?.code;
    return { lack: why === 'ENOENT' ? 'ninguna de NVIDIA: no hay nvidia-smi' : 'nvidia-smi no acaba: reinicia la máquina' };
  }
  return nvidiaOf(stdout);
}

/** From what `nvidia-smi -q` prints: some hundred lines of «Name : value», indented by what they belong to. */
export function nvidiaOf(text: string): Found<Nvidia> {
  const driver = /^(?:Driver|KMD) Version +: ([\d.]+)/m.exec(text)?.[1]; // KMD: from 610 on
  if (driver === undefined) return { lack: faultOf(text) };
  const gpus = text.split(/^GPU .*$/m).slice(1).map((part) => ({
    name: /^ +Product Name +: (.+)$/m.exec(part)?.[1]?.trim() ?? 'sin nombre',
    memoryBytes: Number(/^ +FB Memory Usage\n +Total +: (\d+) MiB$/m.exec(part)?.[1] ?? NaN) * 2 ** 20,
  }));
  if (gpus.length === 0) return { lack: `ninguna: el controlador de NVIDIA ${driver} no ve ninguna tarjeta` };
  return { driver, cuda: /^CUDA(?: UMD)? Version +: ([\d.]+)/m.exec(text)?.[1], gpus };
}

function faultOf(text: string): string {
  if (text.includes('No devices were found')) return 'ninguna: el controlador de NVIDIA no ve ninguna tarjeta';
  if (text.includes('version mismatch')) {
    return 'el controlador de NVIDIA se ha actualizado y el sistema lleva todavía el de antes: reinicia la máquina';
  }
  if (text.includes('communicate with the NVIDIA driver')) {
    return 'el controlador de NVIDIA no responde: instálalo otra vez para el núcleo de ahora, o reinicia la máquina';
  }
  return `nvidia-smi no dice qué hay (${text.trim().split('\n')[0] || 'no imprime nada'})`;
}

/** A library that TensorFlow looks for, and where it is; null where it is not. */
export interface Library {
  readonly name: string;
  readonly at: string | null;
}

export interface Cuda {
  /** Whether the TensorFlow there computes by CUDA; undefined where there is none. */
  readonly built: boolean | undefined;
  /** The driver's, and CUDA's own. */
  readonly libraries: readonly Library[];
  /** Of cuDNN, where its file or the set-up tells. */
  readonly cudnn: string | undefined;
}

/**
 * What there is of CUDA for the package in the folder: in its own set-up, and then where the system looks.
 *
 * @param system what `ldconfig -p` prints
 */
export function readCuda(folder: string, system = output('ldconfig', ['-p']) ?? ''): Cuda {
  const paths = (process.env['LD_LIBRARY_PATH'] ?? '').split(':').filter((path) => path !== '');
  const known = new Map([...system.matchAll(/^\s+(\S+) \(.*x86-64.*\) => (\S+)$/gm)].map(([, name, at]) => [name!, at!]));
  const libraries = ['libcuda.so.1', ...cudaLibraries].map((path) => {
    const name = basename(path);
    const own = join(folder, cudaFolder, path);
    const asked = paths.map((each) => join(each, name)).find((each) => existsSync(each));
    return { name, at: existsSync(own) ? own : asked ?? known.get(name) ?? null };
  });
  const cudnn = libraries.find(({ name }) => name.startsWith('libcudnn'))!.at;
  return {
    built: isBuiltForCuda(join(folder, 'deps', 'lib')), libraries,
    cudnn: cudnn === null ? undefined
      : /\.so\.(\d+\.\d[\d.]*)$/.exec(realpathSync(cudnn))?.[1] ?? (cudnn.startsWith(folder) ? cudaVersionOf('cudnn') : undefined),
  };
}

/** By the name of a class that only a TensorFlow with CUDA has: neither of its interfaces tells. */
function isBuiltForCuda(folder: string): boolean | undefined {
  const files = ['libtensorflow_framework.so.2', 'libtensorflow_cc.so.2', 'libtensorflow.so.2']
    .map((name) => join(folder, name)).filter((file) => existsSync(file));
  return files.length === 0 ? undefined : files.some((file) => holds(file, 'CudaExecutor'));
}

function holds(path: string, text: string): boolean {
  const file = openSync(path, 'r');
  try {
    let end = Buffer.alloc(0); // of the piece before, where the text may begin
    for (const piece of piecesAt(file)) {
      if (Buffer.concat([end, piece.subarray(0, text.length)]).includes(text)) return true;
      if (Buffer.from(piece.buffer, piece.byteOffset, piece.length).includes(text)) return true;
      end = Buffer.from(piece.subarray(-text.length));
    }
    return false;
  } finally {
    closeSync(file);
  }
}
