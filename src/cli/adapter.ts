import { formatBytes } from '../format.ts';
import type { Adapter } from '../tensor/webgpu/device.ts';

/** Spanish: an adapter of WebGPU in one line. */
export function adapterText({ name, vendor, software, features, bindingBytes }: Adapter): string {
  return [
    `${name}${vendor && !name.toLowerCase().includes(vendor) ? ` (${vendor})` : ''}`,
    ...(software ? ['por programa, en la CPU: para pruebas'] : []),
    features.length > 0 ? `con ${features.join(', ')}` : 'sin extensiones',
    `tensores de hasta ${formatBytes(bindingBytes)}`,
  ].join(', ');
}
