import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silent } from '../../src/checkpoint/download.ts';
import { sha256Of } from '../../src/checkpoint/files.ts';
import { installed, setUp, undo } from '../../src/native/setup.ts';
import type { SetupOptions } from '../../src/native/setup.ts';
import type { Wheel } from '../../src/native/wheel.ts';
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
    { source: 'pip', cuda: false, folder: packageFolder, show: silent, wheel, ...changes });
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
      "-m pip download"*) cp "${root}/${wheel.file}" "$TMPDIR/../wheels/" ;;
      *) exec python3 "$@" ;;
    esac`));
    vi.stubEnv('CXX', script(root, 'compiler', `
      if [ "$1" = --version ]; then echo "compiler 1.0"; exit; fi
      test -f include/tensorflow/c/c_api.h || exit 1
      while [ "$1" != -o ]; do shift; done
      cp deps/lib/libtensorflow_cc.so.2 "$2"`));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('gives the package its library and its binding, and says what it computes with', async () => {
    const before = files();
    const now = await setUp(options());
    expect(now).toEqual({ source: 'pip', cuda: false, tensorflow: '9.9.9', device: 'CPU', already: false });
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
    ['the library does not load', (root: string) => makeWheel(root, 'broken'), 'undefined symbol'],
    ['the library computes wrongly', (root: string) => makeWheel(root, 'wrong'), 'calcula mal un producto'],
  ] satisfies [string, (root: string) => Wheel | void, string][])('says so when %s, and leaves the package as it was', async (_, spoil, message) => {
    mkdirSync(dirname(bindingFile(packageFolder)), { recursive: true }); // as a set-up of before left it
    mkdirSync(join(packageFolder, 'deps'));
    writeFileSync(bindingFile(packageFolder), 'before');
    writeFileSync(join(packageFolder, 'deps', 'libtensorflow_cc.so.2'), 'before');
    const before = files();
    const other = spoil(dirname(dirname(dirname(packageFolder)))) ?? wheel;
    await userErrorFrom(setUp(options({ wheel: other })), message);
    expect(files()).toEqual(before);
    expect(readFileSync(bindingFile(packageFolder), 'utf8')).toBe('before');
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

/** A wheel whose library is a text. */
function makeWheel(root: string, library: string): Wheel {
  const file = 'tensorflow_fake-9.9.9.whl';
  const members = {
    'tensorflow/libtensorflow_cc.so.2': library,
    'tensorflow/libtensorflow_framework.so.2': '',
    'tensorflow/include/tensorflow/c/c_api.h': '',
    'tensorflow/include/tensorflow/core/kernels.h': 'not needed',
    'tensorflow/../../escaped': 'no',
    'tensorflow_fake-9.9.9.dist-info/METADATA': 'Name: tensorflow-fake',
  };
  const python = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for name, text in json.loads(sys.argv[2]).items(): archive.writestr(name, text)`;
  const path = join(root, file);
  spawnSync('python3', ['-c', python, path, JSON.stringify(members)]);
  return { project: 'tensorflow-fake', version: '9.9.9', file, sha256: sha256Of(path), bytes: undefined };
}
