import { dirname } from 'node:path';
import { formatBytes, formatCount } from '../format.ts';
import type { Machine } from '../native/machine.ts';
import { oldestDriver, runsCuda12 } from '../native/nvidia.ts';
import type { Report } from './doctor.ts';
import { adapterText } from './webgpu-adapter.ts';

/** What `npm run doctor` says, in Spanish: one line for each thing, its name and how it stands. */
export function diagnosis(report: Report): [string, string][] {
  const { node, platform, machine, nvidia, cuda, backends, chosen, chromium, network, setup } = report;
  const { tensorflow } = backends;
  const { python, compiler, nodeHeaders } = setup;
  return [
    ['Node', `${node}, ${platform}`],
    ['Procesador', `${machine.processor}, ${formatCount(machine.threads, 'hilo')}`],
    ['Memoria', `${formatBytes(machine.memoryBytes)}, ${formatBytes(machine.freeBytes)} disponibles`],
    ['GPU', nvidia.lack
      ?? nvidia.gpus.map(({ name, memoryBytes }) => `${name}, ${formatBytes(memoryBytes)}`).join('; ')],
    ['Controlador', driverLine(nvidia)],
    ['CUDA', cudaLine(cuda, nvidia)],
    ['cuDNN', cudnnLine(cuda)],
    ['bf16', bf16Line(machine, nvidia)],
    ['tensorflow', tensorflow.there
      ? `sí: TensorFlow ${tensorflow.version} en la ${tensorflow.device}, comprobado`
      : tensorflow.fault === undefined ? 'no: se prepara con «npm run setup:tensorflow»'
        : `no funciona (${tensorflow.fault}): prueba con «npm run setup:tensorflow -- --undo» y prepáralo otra vez`],
    ['webgpu', webgpuLine(backends.webgpu)],
    ['wasm', `sí: ${machine.wasm.simd ? 'SIMD' : 'sin SIMD'}${machine.wasm.relaxedSimd ? ' y SIMD relajado (FMA)' : ''}`],
    ['cpu', 'sí: JavaScript, para pruebas'],
    ['Se elegiría', chosen === 'tensorflow'
      ? 'tensorflow, que tiene su biblioteca y es el más rápido; otro, con --backend'
      : 'wasm, que no necesita nada; tensorflow es más rápido y no está preparado'],
    ['Chromium', chromium ?? 'no está: hace falta para el PDF y npm run check; instálalo, o di dónde está con CHROME_PATH'],
    ['Red', networkLine(network)],
    ['Python', python.lack ?? `${python.version} (${python.command}), pip ${python.pip}`],
    ['Compilador', compiler.lack ?? `${compiler.version} (${compiler.command})`],
    ['Cabeceras', nodeHeaders.lack ?? nodeHeaders.folder],
  ];
}

function driverLine(nvidia: Report['nvidia']): string {
  if (nvidia.lack !== undefined) return 'desconocido: lo dice nvidia-smi';
  const { driver, cuda } = nvidia;
  if (!runsCuda12(driver)) return `NVIDIA ${driver}, demasiado antiguo: CUDA 12 pide ${oldestDriver} o posterior; actualízalo`;
  return `NVIDIA ${driver}${cuda === undefined ? '' : `, hasta CUDA ${cuda}`}; TensorFlow pide CUDA 12, y le basta ${oldestDriver}`;
}

function cudaLine({ built, libraries }: Report['cuda'], nvidia: Report['nvidia']): string {
  const there = libraries.filter(({ at }) => at !== null).length;
  if (built !== true) {
    const how = 'se prepara con «npm run setup:tensorflow -- --cuda»';
    const why = built === undefined ? 'TensorFlow no está preparado' : 'el TensorFlow preparado se compiló sin CUDA';
    return nvidia.lack === undefined ? `${why}, y así no usa la tarjeta: ${how}` : `${why}; ${how}, para una GPU de NVIDIA`;
  }
  if (there === libraries.length) return `están las ${there} bibliotecas que TensorFlow carga`;
  const missing = libraries.filter(({ at }) => at === null).map(({ name }) => name);
  const ways = [
    ...(missing.includes('libcuda.so.1') ? ['libcuda.so.1 es del controlador'] : []),
    ...(missing.some((name) => name !== 'libcuda.so.1') ? ['las de CUDA las pone «npm run setup:tensorflow -- --cuda»'] : []),
  ];
  return `${missing.length === 1 ? 'falta' : 'faltan'} ${missing.join(', ')}, y TensorFlow calcula en la CPU: ${ways.join('; ')}`;
}

function cudnnLine({ built, libraries, cudnn }: Report['cuda']): string {
  const library = libraries.find(({ name }) => name.startsWith('libcudnn'))!;
  if (library.at === null) return built === true ? `falta ${library.name}: va con CUDA` : 'no está: se prepara con CUDA';
  return `${cudnn ?? 'de versión desconocida'}, en ${dirname(library.at)}`;
}

function bf16Line({ bf16 }: Machine, nvidia: Report['nvidia']): string {
  if (nvidia.lack === undefined) return 'según la GPU: las de NVIDIA desde Ampere';
  if (bf16 === undefined) return 'el sistema no dice qué instrucciones tiene la CPU';
  if (bf16.length === 0) return 'la CPU no tiene instrucciones bf16: los productos van en fp32';
  return `la CPU lo multiplica con ${bf16.join(' y ')}`;
}

function webgpuLine({ prepared, fault, adapter }: Report['backends']['webgpu']): string {
  if (!prepared) return 'no: se prepara con «npm run setup:webgpu», para la GPU de cualquier fabricante';
  if (fault) return `no funciona (${fault}): quítalo con «npm run setup:webgpu -- --undo» y prepáralo otra vez`;
  if (adapter) return `sí, con --backend webgpu: ${adapterText(adapter)}`;
  const why = process.platform === 'linux'
    ? 'instala libvulkan1 y el controlador de Vulkan de la tarjeta' : 'actualiza el controlador de la tarjeta';
  return `preparado, pero Dawn no encuentra ninguna GPU: ${why}${process.env['WEBGPU_ADAPTER'] ? ', o quita WEBGPU_ADAPTER' : ''}`;
}

function networkLine({ offline, proxy, endpoint, answer }: Report['network']): string {
  const ways = [
    ...(offline ? ['HF_HUB_OFFLINE está activo: no se descarga nada'] : []),
    ...(proxy === null ? [] : [`por el proxy ${proxy}`]),
    `${endpoint} ${answer ?? 'sin preguntar (--network pregunta)'}`,
  ];
  return ways.join('; ');
}
