import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import { sha256Of } from '../../src/checkpoint/files.ts';
import { installed, preloading, setUp, undo } from '../../src/native/setup.ts';
import type { SetupOptions } from '../../src/native/setup.ts';
import { cpuWheel, cudaLibraries, cudaWheels } from '../../src/native/wheels.ts';
import type { Wheel } from '../../src/native/wheels.ts';
import { bindingFile } from '../../src/tensor/backend.ts';
import { temporaryFolder, userErrorFrom } from '../temporary.ts';

const folder = temporaryFolder();
const require = createRequire(import.meta.url);

const hasPython = spawnSync('python3', ['-c', 'import sys; assert sys.version_info >= (3, 8)']).status === 0;
const where = hasPython && process.platform === 'linux' && process.arch === 'x64';

/**
 * Nothing real is fetched or compiled: pip hands out a wheel of a few bytes, the compiler copies its first library, and
 * the package computes with TensorFlow.js in JavaScript, wrongly when the library says so.
 */
describe.runIf(where)('setUp [sin Python en Linux x64]', () => {
  let packageFolder = '';
  let wheel: Wheel;
  let calls = 0;
  const options = (changes: Partial<SetupOptions> = {}): SetupOptions => (
    { source: 'pip', cuda: false, folder: packageFolder, show: silent, wheels: [wheel], ...changes });
  /** All files of the package, and of its neighbours. */
  const files = () => readdirSync(dirname(packageFolder), { recursive: true, encoding: 'utf8' }).sort();

  beforeEach(() => {
    const root = folder(`case-${calls++}`);
    packageFolder = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
    mkdirSync(join(packageFolder, 'dist'), { recursive: true });
    mkdirSync(join(packageFolder, 'binding'));
    writeFileSync(join(packageFolder, 'dist', 'index.js'), `
      const { readFileSync } = require('node:fs');
      const tf = require(${JSON.stringify(require.resolve('@tensorflow/tfjs'))});
      const { MathBackendCPU } = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-backend-cpu'))});
      const library = readFileSync(__dirname + '/../lib/napi-v8/tfjs_binding.node', 'utf8');
      if (library.includes('broken')) throw new Error('libtensorflow: undefined symbol');
      class Fake extends MathBackendCPU {
        binding = { TF_Version: library.trim() };
        isUsingGpuDevice = false;
      }
      tf.copyRegisteredKernels('cpu', 'tensorflow');
      if (library.includes('wrong')) {
        tf.unregisterKernel('BatchMatMul', 'tensorflow');
        const { kernelFunc } = tf.getKernel('BatchMatMul', 'cpu');
        tf.registerKernel({ kernelName: 'BatchMatMul', backendName: 'tensorflow', kernelFunc: (params) =>
          kernelFunc({ ...params, inputs: { a: params.inputs.b, b: params.inputs.b },
            attrs: { transposeA: true, transposeB: false } }) });
      }
      tf.registerBackend('tensorflow', () => new Fake());
    `);
    wheel = makeWheel(root, '9.9.9');
    vi.stubEnv('PYTHON', script(root, 'python', `case "$*" in
      "-m pip --version") echo "pip 24.0 from somewhere" ;;
      "-m pip download"*) for last; do :; done; cp "${root}/$(echo "$last" | sed 's/-/_/g; s/==/-/')"*.whl "$TMPDIR/../wheels/" ;;
      *) exec python3 "$@" ;;
    esac`));
    vi.stubEnv('CXX', script(root, 'compiler', `
      if [ "$1" = --version ]; then echo "compiler 1.0"; exit; fi
      test -f include/tensorflow/c/c_api.h || exit 1
      echo "$*" > "${root}/compiled"
      while [ "$1" != -o ]; do shift; done
      cp deps/lib/libtensorflow_cc.so.2 "$2"`));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('gives the package its library and its binding, and says what it computes with', async () => {
    const before = files();
    const { operations, ...now } = await setUp(options());
    expect(now).toEqual({ source: 'pip', cuda: false, tensorflow: '9.9.9', device: 'CPU', already: false });
    expect(operations).toMatch(/^[0-9a-f]{64}$/);
    expect(installed(packageFolder)).toMatchObject({ source: 'pip', tensorflow: '9.9.9' });
    expect(files().filter((name) => !before.includes(name))).toEqual([
      'tfjs-node-gpu/deps', 'tfjs-node-gpu/deps/lib', 'tfjs-node-gpu/deps/lib/libtensorflow_cc.so.2',
      'tfjs-node-gpu/deps/lib/libtensorflow_framework.so.2', 'tfjs-node-gpu/deps/setup.json',
      'tfjs-node-gpu/lib', 'tfjs-node-gpu/lib/napi-v8', 'tfjs-node-gpu/lib/napi-v8/tfjs_binding.node',
    ]);
  }, 60_000);

  it('does nothing the second time, and puts all back as it was', async () => {
    const before = files();
    await setUp(options());
    vi.stubEnv('PYTHON', '/nowhere/python'); // neither is needed again
    vi.stubEnv('CXX', '/nowhere/compiler');
    expect(await setUp(options())).toMatchObject({ tensorflow: '9.9.9', already: true });
    expect(undo(packageFolder)).toBe(true);
    expect(installed(packageFolder)).toBeUndefined();
    expect(files()).toEqual(before);
    expect(undo(packageFolder)).toBe(false);
  }, 60_000);

  it('compiles again what was compiled with other operations than ours of today', async () => {
    const { operations } = await setUp(options());
    const marker = join(packageFolder, 'deps', 'setup.json');
    writeFileSync(marker, readFileSync(marker, 'utf8').replace(operations, 'those of another day'));
    expect(await setUp(options())).toMatchObject({ operations, already: false });
  }, 60_000);

  it('takes a folder: with the wheel as pip leaves it, or with libraries as Python has them', async () => {
    const root = dirname(dirname(dirname(packageFolder)));
    expect(await setUp(options({ source: { folder: root } }))).toMatchObject({ source: root, tensorflow: '9.9.9' });
    const python = join(root, 'site-packages', 'tensorflow');
    mkdirSync(join(python, 'include', 'tensorflow', 'c'), { recursive: true });
    writeFileSync(join(python, 'libtensorflow_cc.so.2'), '8.8.8');
    writeFileSync(join(python, 'libtensorflow_framework.so.2'), '');
    writeFileSync(join(python, 'include', 'tensorflow', 'c', 'c_api.h'), '');
    expect(await setUp(options({ source: { folder: python } }))).toMatchObject({ tensorflow: '8.8.8', already: false });
    expect(readFileSync(bindingFile(packageFolder), 'utf8')).toBe('8.8.8');
  }, 60_000);

  it.each([
    ['there is no Python', () => void vi.stubEnv('PYTHON', '/nowhere/python'), 'no hay Python 3.8 o posterior (/nowhere/python)'],
    ['Python has no pip', (root: string) => void vi.stubEnv('PYTHON', script(root, 'bare', `
      if [ "$1" = -m ]; then echo "No module named pip" >&2; exit 1; fi; exec python3 "$@"`)), 'no tiene pip: instala python3-pip'],
    ['pip does not give the wheel', (root: string) => void vi.stubEnv('PYTHON', script(root, 'offline', `case "$*" in
      "-m pip --version") echo "pip 24.0" ;;
      "-m pip download"*) echo "ERROR: No matching distribution found" >&2; exit 1 ;;
      *) exec python3 "$@" ;; esac`)), 'pip no da tensorflow-fake 9.9.9 (ERROR: No matching distribution found)'],
    ['the disk is full', (root: string) => void vi.stubEnv('PYTHON', script(root, 'full', `case "$*" in
      "-m pip --version") echo "pip 24.0" ;;
      "-m pip download"*) echo "ERROR: [Errno 28] No space left on device" >&2; exit 1 ;;
      *) exec python3 "$@" ;; esac`)), 'El disco está lleno'],
    ['there is no compiler', () => void vi.stubEnv('CXX', '/nowhere/compiler'), 'no hay compilador de C++ (/nowhere/compiler)'],
    ['the binding does not compile', (root: string) => void vi.stubEnv('CXX', script(root, 'failing', `
      if [ "$1" = --version ]; then echo "compiler 1.0"; exit; fi
      echo "binding/utils.h:1:1: fatal error: no such header" >&2; exit 1`)), 'no compila el enlace (binding/utils.h:1:1: fatal error'],
    ['the wheel is another one', (root: string) => void writeFileSync(join(root, wheel.file), 'tampered'), 'no es el que se esperaba: su SHA-256'],
    ['the wheel has no library', (root: string) => makeWheel(root, undefined), 'falta libtensorflow_cc.so.2, que TensorFlow necesita'],
    ['the library does not load', (root: string) => makeWheel(root, 'broken'), 'undefined symbol'],
    ['the library computes wrongly', (root: string) => makeWheel(root, 'wrong'), 'calcula mal un producto'],
  ] satisfies [string, (root: string) => Wheel | void, string][])('says so when %s, and leaves the package as it was', async (_, spoil, message) => {
    mkdirSync(dirname(bindingFile(packageFolder)), { recursive: true }); // as a set-up of before left it
    mkdirSync(join(packageFolder, 'deps'));
    writeFileSync(bindingFile(packageFolder), 'before');
    writeFileSync(join(packageFolder, 'deps', 'libtensorflow_cc.so.2'), 'before');
    const before = files();
    const other = spoil(dirname(dirname(dirname(packageFolder)))) ?? wheel;
    await userErrorFrom(setUp(options({ wheels: [other] })), message);
    expect(files()).toEqual(before);
    expect(readFileSync(bindingFile(packageFolder), 'utf8')).toBe('before');
  }, 60_000);

  it('adds the libraries of CUDA, each where TensorFlow looks for it, and nothing else of their wheels', async () => {
    const before = files();
    const root = dirname(dirname(dirname(packageFolder)));
    const wheels = [wheel, makeCudaWheel(root, 'cudnn', 'libcudnn.so.9'), makeCudaWheel(root, 'cublas', 'libcublas.so.12')];
    expect(await setUp(options({ cuda: true, wheels }))).toMatchObject({ cuda: true, device: 'CPU', already: false });
    expect(files().filter((name) => !before.includes(name) && name.includes('nvidia/'))).toEqual([
      'cublas', 'cublas/lib', 'cublas/lib/libcublas.so.12', 'cudnn', 'cudnn/lib', 'cudnn/lib/libcudnn.so.9',
    ].map((name) => `tfjs-node-gpu/deps/nvidia/${name}`));
    expect(readFileSync(join(root, 'compiled'), 'utf8')).toContain('preload.cc');
    expect(await setUp(options({ cuda: false }))).toMatchObject({ cuda: false, already: false });
    expect(files().filter((name) => name.includes('nvidia'))).toEqual([]);
    expect(readFileSync(join(root, 'compiled'), 'utf8')).not.toContain('preload.cc');
  }, 60_000);

  it.each([
    ['is another one', (root: string) => void writeFileSync(join(root, 'nvidia_cudnn_cu12-9.9.9-py3-none-manylinux2014_x86_64.whl'), 'tampered'),
      '«nvidia_cudnn_cu12-9.9.9-py3-none-manylinux2014_x86_64.whl» no es el que se esperaba: su SHA-256'],
    ['has no library', (root: string) => makeCudaWheel(root, 'cudnn', 'libcudnn.so.10'), 'falta libcudnn.so.9, que TensorFlow necesita'],
  ] satisfies [string, (root: string) => Wheel | void, string][])('leaves all as it was when a wheel of CUDA %s', async (_, spoil, message) => {
    const root = dirname(dirname(dirname(packageFolder)));
    const given = makeCudaWheel(root, 'cudnn', 'libcudnn.so.9');
    const before = files();
    const { sha256 } = spoil(root) ?? given;
    await userErrorFrom(setUp(options({ cuda: true, wheels: [wheel, { ...given, sha256 }] })), message);
    expect(files()).toEqual(before);
  });

  it('says when pip does not give a wheel of CUDA, or gives another one, and how many to bring instead', async () => {
    const root = dirname(dirname(dirname(packageFolder)));
    const cudnn = makeCudaWheel(root, 'cudnn', 'libcudnn.so.9');
    const before = files();
    const other = { ...cudnn, file: cudnn.file.replace('manylinux2014', 'manylinux_2_27') };
    const message = await userErrorFrom(setUp(options({ cuda: true, wheels: [wheel, other] })), `«${other.file}» y los otros 1 en`);
    expect(message).toContain(`pip no da nvidia-cudnn-cu12 9.9.9 (sino ${cudnn.file})`);
    expect(files()).toEqual(before);
  });

  it('takes TensorFlow and CUDA from one folder, and says which wheel it lacks and how to get it', async () => {
    const root = dirname(dirname(dirname(packageFolder)));
    const cudnn = makeCudaWheel(root, 'cudnn', 'libcudnn.so.9');
    const source = { folder: root };
    expect(await setUp(options({ source, cuda: true, wheels: [wheel, cudnn] }))).toMatchObject({ cuda: true });
    expect(existsSync(join(packageFolder, 'deps', 'nvidia', 'cudnn', 'lib', 'libcudnn.so.9'))).toBe(true);
    const nccl = { ...cudnn, file: 'nvidia_nccl_cu12-9.9.9-py3-none-manylinux2014_x86_64.whl', project: 'nvidia-nccl-cu12' };
    undo(packageFolder);
    await userErrorFrom(
      setUp(options({ source, cuda: true, wheels: [wheel, cudnn, nccl] })),
      '«nvidia_nccl_cu12-9.9.9-py3-none-manylinux2014_x86_64.whl»: bájalo con «pip download --no-deps nvidia-nccl-cu12==9.9.9»');
  }, 60_000);

  it('refuses a folder that is none, or has no library', async () => {
    await userErrorFrom(setUp(options({ source: { folder: '/nowhere' } })), '«/nowhere» no es una carpeta');
    mkdirSync(folder('empty'), { recursive: true });
    await userErrorFrom(setUp(options({ source: { folder: folder('empty') } })), 'no está la biblioteca: se esperaba');
    expect(existsSync(bindingFile(packageFolder))).toBe(false);
  });

  it('tells another platform what it can do', async () => {
    const platform = Object.getOwnPropertyDescriptor(process, 'arch')!;
    Object.defineProperty(process, 'arch', { ...platform, value: 'arm64' });
    try {
      await userErrorFrom(setUp(options()), 'linux arm64');
    } finally {
      Object.defineProperty(process, 'arch', platform);
    }
  });

  it('leaves nothing when it is interrupted, and clears what a killed one left', async () => {
    const before = files();
    mkdirSync(join(dirname(packageFolder), '.tfjs-node-gpu-999999999-dead'));
    const interruption = new AbortController();
    const show = { progress: () => {}, line: () => interruption.abort() };
    await userErrorFrom(setUp(options({ show, signal: interruption.signal })), 'Interrumpido');
    expect(files()).toEqual(before);
  });
});

function script(root: string, name: string, body: string): string {
  const path = join(root, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A wheel whose library is a text; or that has none. */
function makeWheel(root: string, library: string | undefined): Wheel {
  const { members, needed } = cpuWheel;
  return zip(root, { project: 'tensorflow-fake', version: '9.9.9', members, needed }, {
    ...(library !== undefined && { 'tensorflow/libtensorflow_cc.so.2': library }),
    'tensorflow/libtensorflow_framework.so.2': '',
    'tensorflow/include/tensorflow/c/c_api.h': '',
    'tensorflow/include/tensorflow/core/kernels.h': 'not needed',
    'tensorflow/../../escaped': 'no',
    'tensorflow_fake-9.9.9.dist-info/METADATA': 'Name: tensorflow-fake',
  });
}

/** A wheel of CUDA, with a library in it that the one wanted may or may not be. */
function makeCudaWheel(root: string, part: string, library: string): Wheel {
  const project = `nvidia-${part}-cu12`;
  const { members, needed } = cudaWheels.find((wheel) => wheel.project === project)!;
  return zip(root, { project, version: '9.9.9', members, needed: needed.slice(-1) }, {
    [`nvidia/${part}/lib/${library}`]: 'library',
    [`nvidia/${part}/lib/__init__.py`]: 'not needed',
    [`nvidia/${part}/include/header.h`]: 'not needed',
  });
}

/** By their contents: most cases have the same ones, and a Python takes its time to start. */
const zips = new Map<string, Buffer>();

function zip(
  root: string, wheel: Omit<Wheel, 'file' | 'sha256' | 'bytes'>, members: Readonly<Record<string, string>>,
): Wheel {
  const file = `${wheel.project.replaceAll('-', '_')}-${wheel.version}-py3-none-manylinux2014_x86_64.whl`;
  const python = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for name, text in json.loads(sys.argv[2]).items(): archive.writestr(name, text)`;
  const path = join(root, file);
  const contents = JSON.stringify(members);
  const before = zips.get(contents);
  if (before) writeFileSync(path, before);
  else spawnSync('python3', ['-c', python, path, contents]);
  zips.set(contents, before ?? readFileSync(path));
  return { ...wheel, file, sha256: sha256Of(path), bytes: statSync(path).size };
}

describe('the wheels of CUDA', () => {
  it('are TensorFlow and all that its wheel asks for, each pinned, in 2,5 GB', () => {
    expect(cudaWheels.map(({ project }) => project)).toEqual([
      'tensorflow',
      ...['cuda-runtime', 'cuda-nvrtc', 'nvjitlink', 'cublas', 'cufft', 'curand', 'cusparse', 'cusolver', 'cuda-cupti', 'nccl',
        'cudnn', 'cuda-nvcc'].map((part) => `nvidia-${part}-cu12`),
    ]);
    for (const { file, version, sha256 } of cudaWheels) {
      expect(file).toContain(`-${version}-`);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(new Set(cudaWheels.map(({ sha256 }) => sha256)).size).toBe(cudaWheels.length);
    expect(cudaWheels.reduce((sum, { bytes }) => sum + bytes, 0)).toBeCloseTo(2.516e9, -6);
  });
});

const hasCompiler = process.platform === 'linux' && spawnSync('c++', ['--version']).status === 0;

describe.runIf(hasCompiler)('preloading [sin compilador de C++ en Linux]', () => {
  it('lets a library be found by its name alone wherever it lies, and leaves a missing one to who asks for it', () => {
    const root = folder('preloading');
    const [there, missing] = [cudaLibraries[0]!, cudaLibraries[1]!]; // cuda_runtime/lib/libcudart.so.12
    mkdirSync(dirname(join(root, 'cuda', there)), { recursive: true });
    const compile = (...args: string[]) => {
      const { status, stderr } = spawnSync('c++', args, { cwd: root, encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
    };
    writeFileSync(join(root, 'cuda.cc'), 'extern "C" int version() { return 12; }');
    compile('-shared', '-fPIC', 'cuda.cc', `-Wl,-soname,${basename(there)}`, '-o', join('cuda', there));
    writeFileSync(join(root, 'binding.cc'), '');
    compile('-shared', '-fPIC', 'binding.cc', ...preloading('cuda'), '-o', 'binding.so');
    writeFileSync(join(root, 'program.cc'), `
      #include <dlfcn.h>
      #include <cstdio>
      #include <initializer_list>
      int main(int, char **argv) {
        dlopen(argv[1], RTLD_LAZY);
        for (const char *name : {"${basename(there)}", "${basename(missing)}"}) std::puts(dlopen(name, RTLD_LAZY) ? "found" : "missing");
      }`);
    compile('program.cc', '-ldl', '-o', 'program');
    const found = (library: string) => spawnSync('./program', [library], { cwd: root, encoding: 'utf8' }).stdout.trim().split('\n');
    expect(found('./nothing.so')).toEqual(['missing', 'missing']);
    expect(found('./binding.so')).toEqual(['found', 'missing']);
  }, 60_000);
});
