import { afterEach, describe, expect, it, vi } from 'vitest';
import { diagnosis } from '../../src/cli/diagnosis.ts';
import type { Report } from '../../src/cli/doctor.ts';

afterEach(() => void vi.unstubAllEnvs());

const libraries = ['libcuda.so.1', 'libcudart.so.12', 'libcudnn.so.9'].map((name) => ({ name, at: `/lib/${name}` }));
const tensorflow = { there: true, version: '2.21.0', device: 'GPU', fault: undefined } as const;
const adapter = {
  name: 'NVIDIA L4', vendor: 'nvidia', architecture: 'ada', software: false, features: ['shader-f16'], bindingBytes: 2 ** 30, units: [],
};

/** A machine that has all there is to have. */
const whole: Report = {
  node: 'v22.1.0', platform: 'linux x64',
  machine: {
    processor: 'AMD EPYC', threads: 4, bf16: ['AVX-512'], memoryBytes: 2 ** 34, freeBytes: 2 ** 33,
    wasm: { simd: true, relaxedSimd: true },
  },
  nvidia: { driver: '550.54.15', cuda: '12.4', gpus: [1, 2].map(() => ({ name: 'NVIDIA L4', memoryBytes: 24 * 2 ** 30 })) },
  cuda: { built: true, libraries, cudnn: '9.3.0' },
  backends: {
    tensorflow, webgpu: { there: true, prepared: true, fault: undefined, adapter },
    wasm: { there: true }, cpu: { there: true },
  },
  chosen: 'tensorflow', chromium: '/usr/bin/chromium',
  network: { offline: false, proxy: null, endpoint: 'https://huggingface.co', answer: null },
  setup: {
    python: { command: 'python3', version: '3.12', pip: '24.0' }, compiler: { command: 'c++', version: 'g++ 13' },
    nodeHeaders: { folder: '/include' },
  },
};
const no = { lack: 'no hay' };
const lineOf = (name: string, changes: Partial<Report> = {}) => new Map(diagnosis({ ...whole, ...changes })).get(name);

describe('what the doctor says of a machine that has everything', () => {
  it('is what there is of each thing', () => {
    expect(diagnosis(whole)).toEqual([
      ['Node', 'v22.1.0, linux x64'], ['Procesador', 'AMD EPYC, 4 hilos'], ['Memoria', '16 GiB, 8 GiB disponibles'],
      ['GPU', 'NVIDIA L4, 24 GiB; NVIDIA L4, 24 GiB'],
      ['Controlador', 'NVIDIA 550.54.15, hasta CUDA 12.4; TensorFlow pide CUDA 12, y le basta 525.60.13'],
      ['CUDA', 'están las 3 bibliotecas que TensorFlow carga'], ['cuDNN', '9.3.0, en /lib'],
      ['bf16', 'según la GPU: las de NVIDIA desde Ampere'],
      ['tensorflow', 'sí: TensorFlow 2.21.0 en la GPU, comprobado'],
      ['webgpu', 'sí, con --backend webgpu: NVIDIA L4, con shader-f16, tensores de hasta 1 GiB'],
      ['wasm', 'sí: SIMD y SIMD relajado (FMA)'], ['cpu', 'sí: JavaScript, para pruebas'],
      ['Se elegiría', 'tensorflow, que tiene su biblioteca y es el más rápido; otro, con --backend'],
      ['Chromium', '/usr/bin/chromium'], ['Red', 'https://huggingface.co sin preguntar (--network pregunta)'],
      ['Python', '3.12 (python3), pip 24.0'], ['Compilador', 'g++ 13 (c++)'], ['Cabeceras', '/include'],
    ]);
  });
});

describe('what it says is missing', () => {
  it('of NVIDIA: the card, a driver that is new enough, or what it does not tell', () => {
    expect([lineOf('GPU', { nvidia: no }), lineOf('Controlador', { nvidia: no })]).toEqual(['no hay', 'desconocido: lo dice nvidia-smi']);
    const [old, silent] = ['470.256.02', '560.1'].map((driver) => ({ nvidia: { ...whole.nvidia, driver, cuda: undefined } as Report['nvidia'] }));
    expect(lineOf('Controlador', old)).toContain('NVIDIA 470.256.02, demasiado antiguo');
    expect(lineOf('Controlador', silent)).toMatch(/^NVIDIA 560\.1; TensorFlow pide/);
  });

  it('of CUDA: the libraries, and who has each', () => {
    const without = (...missing: number[]) => ({
      cuda: { ...whole.cuda, libraries: libraries.map((one, i) => (missing.includes(i) ? { ...one, at: null } : one)) },
    });
    expect(lineOf('CUDA', without(0)))
      .toBe('falta libcuda.so.1, y TensorFlow calcula en la CPU: libcuda.so.1 es del controlador');
    expect(lineOf('CUDA', without(1)))
      .toBe('falta libcudart.so.12, y TensorFlow calcula en la CPU: las de CUDA las pone «npm run setup:tensorflow -- --cuda»');
    expect(lineOf('CUDA', without(0, 2))).toBe('faltan libcuda.so.1, libcudnn.so.9, y TensorFlow calcula en la CPU: '
      + 'libcuda.so.1 es del controlador; las de CUDA las pone «npm run setup:tensorflow -- --cuda»');
    expect(lineOf('cuDNN', without(2))).toBe('falta libcudnn.so.9: va con CUDA');
    expect(lineOf('cuDNN', { cuda: { ...without(2).cuda, built: false } })).toBe('no está: se prepara con CUDA');
    expect(lineOf('cuDNN', { cuda: { ...whole.cuda, cudnn: undefined } })).toBe('de versión desconocida, en /lib');
  });

  it('of a TensorFlow with CUDA: how to prepare one, and that a card there is not used', () => {
    const said = (built: boolean | undefined, nvidia = whole.nvidia) => lineOf('CUDA', { nvidia, cuda: { ...whole.cuda, built } });
    const how = 'se prepara con «npm run setup:tensorflow -- --cuda»';
    expect(said(undefined)).toBe(`TensorFlow no está preparado, y así no usa la tarjeta: ${how}`);
    expect(said(false)).toBe(`el TensorFlow preparado se compiló sin CUDA, y así no usa la tarjeta: ${how}`);
    expect(said(undefined, no)).toBe(`TensorFlow no está preparado; ${how}, para una GPU de NVIDIA`);
  });

  it('of bf16 without a card: what the processor does, or does not tell', () => {
    const said = (bf16: Report['machine']['bf16']) => lineOf('bf16', { nvidia: no, machine: { ...whole.machine, bf16 } });
    expect([said(undefined), said([]), said(['AVX-512', 'AMX'])]).toEqual([
      'el sistema no dice qué instrucciones tiene la CPU', 'la CPU no tiene instrucciones bf16: los productos van en fp32',
      'la CPU lo multiplica con AVX-512 y AMX',
    ]);
  });

  it('of a backend: how to prepare it, or what it fails at', () => {
    const said = (of: Partial<Report['backends']>) => ({ backends: { ...whole.backends, ...of } });
    expect(lineOf('tensorflow', said({ tensorflow: { there: false, fault: undefined } }))).toBe('no: se prepara con «npm run setup:tensorflow»');
    expect(lineOf('tensorflow', said({ tensorflow: { there: false, fault: 'SIGILL' } }))).toMatch(/^no funciona \(SIGILL\): .* --undo/);
    expect(lineOf('webgpu', said({ webgpu: { there: false, prepared: false, fault: undefined } }))).toMatch(/^no: se prepara con/);
    expect(lineOf('webgpu', said({ webgpu: { there: false, prepared: true, fault: 'calcula mal' } }))).toMatch(/^no funciona \(calcula mal\)/);
    const blind = said({ webgpu: { there: false, prepared: true, fault: undefined, adapter: null } });
    vi.stubEnv('WEBGPU_ADAPTER', '');
    expect(lineOf('webgpu', blind)).toMatch(/^preparado, pero Dawn no encuentra ninguna GPU: .* de la tarjeta$/);
    vi.stubEnv('WEBGPU_ADAPTER', 'intel');
    expect(lineOf('webgpu', blind)).toMatch(/, o quita WEBGPU_ADAPTER$/);
    const wasm = (simd: boolean, relaxedSimd: boolean) => lineOf('wasm', { machine: { ...whole.machine, wasm: { simd, relaxedSimd } } });
    expect([wasm(false, false), wasm(true, false)]).toEqual(['sí: sin SIMD', 'sí: SIMD']);
  });

  it('of what else there could be: TensorFlow to choose, Chromium, and what a set-up needs', () => {
    expect(lineOf('Se elegiría', { chosen: 'wasm' })).toMatch(/^wasm, .* no está preparado$/);
    expect(lineOf('Chromium', { chromium: null })).toMatch(/^no está: .*CHROME_PATH$/);
    const setup = { python: no, compiler: { lack: 'sin C++' }, nodeHeaders: { lack: 'sin cabeceras' } };
    expect(['Python', 'Compilador', 'Cabeceras'].map((name) => lineOf(name, { setup }))).toEqual(['no hay', 'sin C++', 'sin cabeceras']);
  });

  it('of the network: whether it is asked, by which way, and what it answers', () => {
    const network = { offline: true, proxy: 'proxy:8080', endpoint: 'https://hub', answer: 'responde (HTTP 200)' };
    expect(lineOf('Red', { network })).toBe(
      'HF_HUB_OFFLINE está activo: no se descarga nada; por el proxy proxy:8080; https://hub responde (HTTP 200)');
  });
});
