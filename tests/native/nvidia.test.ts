import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nvidiaOf, readCuda, readNvidia, runsCuda12 } from '../../src/native/nvidia.ts';
import { cudaFolder, cudaLibraries } from '../../src/native/wheels.ts';
import { temporaryFolder } from '../temporary.ts';

const folder = temporaryFolder();
afterEach(() => {
  vi.unstubAllEnvs();
});

/** In the form in which drivers of three generations print `nvidia-smi -q`, shortened; and how it fails. */
const printed = (name: string) => readFileSync(join(import.meta.dirname, 'fixtures', 'nvidia-smi', `${name}.txt`), 'utf8');

describe('nvidiaOf', () => {
  it('reads the driver, the latest CUDA that it runs, and name and memory of each card', () => {
    expect(nvidiaOf(printed('one-card'))).toEqual({
      driver: '550.54.15', cuda: '12.4', gpus: [{ name: 'NVIDIA H100 80GB HBM3', memoryBytes: 81559 * 2 ** 20 }],
    });
    expect(nvidiaOf(printed('old-driver'))).toEqual({
      driver: '470.256.02', cuda: '11.4', gpus: [{ name: 'Tesla K80', memoryBytes: 11441 * 2 ** 20 }],
    });
  });

  it('knows the names that driver 610 gives them', () => {
    expect(nvidiaOf(printed('two-cards-610'))).toEqual({
      driver: '610.57.04', cuda: '13.3', gpus: [
        { name: 'NVIDIA GeForce RTX 5060', memoryBytes: 8151 * 2 ** 20 },
        { name: 'NVIDIA GeForce GTX 1650', memoryBytes: 4096 * 2 ** 20 },
      ],
    });
  });

  it.each([
    ['no-driver', /no responde: instálalo otra vez/],
    ['mismatch', /se ha actualizado .*: reinicia la máquina/],
    ['no-devices', /no ve ninguna tarjeta/],
  ])('tells what is the matter where it fails: %s', (name, lack) => {
    expect(nvidiaOf(printed(name)).lack).toMatch(lack);
  });

  it('quotes what it does not know, and a driver without cards', () => {
    expect(nvidiaOf('Segmentation fault\n').lack).toBe('nvidia-smi no dice qué hay (Segmentation fault)');
    const [head] = printed('one-card').split('GPU 0000');
    expect(nvidiaOf(head!).lack).toBe('ninguna: el controlador de NVIDIA 550.54.15 no ve ninguna tarjeta');
  });
});

describe('readNvidia', () => {
  it('asks nvidia-smi', () => {
    mkdirSync(folder('bin'));
    writeFileSync(folder('bin', 'nvidia-smi'), `#!/bin/sh\n[ "$*" = -q ] && printf 'Driver Version : 550.1\\nGPU 1\\n'\n`);
    chmodSync(folder('bin', 'nvidia-smi'), 0o755);
    vi.stubEnv('PATH', `${folder('bin')}:${process.env['PATH']}`);
    expect(readNvidia()).toMatchObject({ driver: '550.1', gpus: [{ name: 'sin nombre' }] });
    vi.stubEnv('PATH', folder('nowhere'));
    expect(readNvidia().lack).toBe('ninguna de NVIDIA: no hay nvidia-smi');
  });
});

describe('runsCuda12', () => {
  it('compares a driver with the first that does', () => {
    expect(['525.60.13', '525.60.14', '525.105.17', '610.57'].map(runsCuda12)).toEqual([true, true, true, true]);
    expect(['525.60.11', '525.59.20', '470.256.02'].map(runsCuda12)).toEqual([false, false, false]);
  });
});

describe('readCuda', () => {
  const place = (path: string, content: string | Buffer = '') => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  };

  it('finds each library in the set-up, where LD_LIBRARY_PATH says, or in the system, in this order', () => {
    const root = folder('order');
    for (const path of cudaLibraries.slice(0, 2)) place(join(root, cudaFolder, path));
    place(folder('asked', 'libnvrtc.so.12'));
    place(folder('asked', 'libcublas.so.12'));
    place(folder('asked later', 'libcublas.so.12'));
    vi.stubEnv('LD_LIBRARY_PATH', `:${folder('asked')}:${folder('asked later')}`);
    const { libraries } = readCuda(root, `
2 libs found in cache «/etc/ld.so.cache»
\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1
\tlibcuda.so.1 (libc6) => /usr/lib/i386-linux-gnu/libcuda.so.1
\tlibcublas.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcublas.so.12
`);
    expect(libraries.filter(({ at }) => at !== null)).toEqual([
      { name: 'libcuda.so.1', at: '/usr/lib/x86_64-linux-gnu/libcuda.so.1' },
      { name: 'libcudart.so.12', at: join(root, cudaFolder, 'cuda_runtime/lib/libcudart.so.12') },
      { name: 'libnvrtc.so.12', at: join(root, cudaFolder, 'cuda_nvrtc/lib/libnvrtc.so.12') },
      { name: 'libcublas.so.12', at: folder('asked', 'libcublas.so.12') },
    ]);
    expect(libraries).toHaveLength(1 + cudaLibraries.length);
  });

  it('asks ldconfig what the system has, and does without one', () => {
    mkdirSync(folder('sbin'));
    writeFileSync(folder('sbin', 'ldconfig'), `#!/bin/sh\n[ "$*" = -p ] && printf 'libs\\n\\tlibcuda.so.1 (libc6,x86-64) => /there\\n'\n`);
    chmodSync(folder('sbin', 'ldconfig'), 0o755);
    vi.stubEnv('PATH', `${folder('sbin')}:${process.env['PATH']}`);
    expect(readCuda(folder('none')).libraries[0]).toEqual({ name: 'libcuda.so.1', at: '/there' });
    vi.stubEnv('PATH', folder('nowhere'));
    expect(readCuda(folder('none')).libraries[0]).toEqual({ name: 'libcuda.so.1', at: null });
  });

  it('tells the version of cuDNN by the set-up, or by the name of the file that a system links to', () => {
    const root = folder('cudnn');
    expect(readCuda(root, '').cudnn).toBeUndefined();
    place(folder('system', 'libcudnn.so.9.6.0'));
    symlinkSync('libcudnn.so.9.6.0', folder('system', 'libcudnn.so.9'));
    expect(readCuda(root, `\tlibcudnn.so.9 (libc6,x86-64) => ${folder('system', 'libcudnn.so.9')}\n`).cudnn).toBe('9.6.0');
    place(folder('unversioned', 'libcudnn.so.9'));
    expect(readCuda(root, `\tlibcudnn.so.9 (libc6,x86-64) => ${folder('unversioned', 'libcudnn.so.9')}\n`).cudnn).toBeUndefined();
    place(join(root, cudaFolder, 'cudnn', 'lib', 'libcudnn.so.9'));
    expect(readCuda(root, '').cudnn).toBe('9.3.0.75');
  });

  it('tells a TensorFlow that was built with CUDA, wherever in its library that shows', () => {
    const library = folder('built', 'deps', 'lib', 'libtensorflow_cc.so.2');
    expect(readCuda(folder('built'), '').built).toBeUndefined();
    place(library, Buffer.alloc(3 << 20));
    expect(readCuda(folder('built'), '').built).toBe(false);
    for (const at of [0, (1 << 20) - 5, (3 << 20) - 12]) { // pieces of 1 MiB are read
      const content = Buffer.alloc(3 << 20);
      content.write('CudaExecutor', at);
      place(library, content);
      expect(readCuda(folder('built'), '').built).toBe(true);
    }
    place(join(dirname(library), 'libtensorflow_framework.so.2')); // in either of its two
    expect(readCuda(folder('built'), '').built).toBe(true);
  });
});
