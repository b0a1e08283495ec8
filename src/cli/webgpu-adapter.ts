import { formatBytes } from '../format.ts';
import type { Adapter } from '../tensor/webgpu/device.ts';

/** Spanish: an adapter of WebGPU in one line. */
export function adapterText({ name, vendor, software, features, units, bindingBytes }: Adapter): string {
  const [unit] = units;
  const standard = features.filter((feature) => !feature.startsWith('chromium-'));
  return [
    `${name}${vendor && !name.toLowerCase().includes(vendor) ? ` (${vendor})` : ''}`,
    ...(software ? ['por software, en la CPU: para pruebas'] : []),
    standard.length > 0 ? `con ${standard.join(', ')}` : 'sin extensiones',
    ...(unit ? [`unidades de matrices de ${unit.m} × ${unit.n} × ${unit.k} en ${unit.element}`] : []),
    `tensores de hasta ${formatBytes(bindingBytes)}`,
  ].join(', ');
}
